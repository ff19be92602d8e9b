import Glibc
import HostBackend
import JSONCodec
import PluginProtocol
import Processes
import Support
import Synchronization

/// Runs a one-shot plugin once: one document in, one out.
struct OneShotRun: Sendable {
    /// The last lines of standard error that an error shows.
    private static let shownLines = 5

    let command: PluginCommand
    let launcher: PluginLauncher
    let log: @Sendable (PluginLogLine) -> Void

    /// - Returns: the `result`.
    /// - Throws: the plugin's fault; `internal` when it fails otherwise; ``PluginError/Code/hung`` past the deadline and
    ///   the grace, or when the caller is cancelled: it has been ended then.
    func run(
        _ method: String,
        _ input: JSONObject,
        deadline: Duration?,
        grace: Duration
    ) async throws(PluginError) -> JSONObject {
        let output = OneShotOutput()
        var command = command
        command.arguments.append(method)
        let (started, launcher, log) = (command, launcher, log)
        do {
            let keep = OneShotLines()
            let child = try await BlockingPool.shared.run {
                try launcher.start(started, receiver: output) { line in
                    keep.add(line.message)
                    log(line)
                }
            }
            let document = try JSONWriter.bytes(of: .object(input), .compact)
            // One that ends without reading has its reasons, and says them.
            try? child.channel.send(document)
            child.channel.finishWriting()
            let limit = deadline.map { $0 + grace }
            let isOver = await output.waitForEnd(limit: limit)
            let end = await child.end(patience: isOver ? .seconds(2) : .zero)
            guard isOver else {
                if Task.isCancelled { throw PluginError(.cancelled, "\(method) was given up") }
                throw PluginError(.hung, "the plugin is hung: no answer to \(method) in time")
            }
            return try Self.result(of: method, output.take(), end, keep.last)
        } catch let error as PluginError {
            throw error
        } catch {
            throw PluginError(.refused, "\(method): \(error)")
        }
    }

    private static func result(
        of method: String,
        _ output: Result<[UInt8], PluginError>,
        _ end: ProcessEnd,
        _ lines: [String]
    ) throws(PluginError) -> JSONObject {
        let bytes = try output.get()
        guard end == .exited(0) else {
            throw PluginError(PluginFault(.internal, "\(method): the plugin ended with \(end)\(said(lines))"))
        }
        let answer: JSONObject
        do throws(PluginError) {
            answer = try PluginFrame.object(of: bytes)
        } catch {
            throw PluginError(PluginFault(.internal, "\(method): \(error.message)\(said(lines))"))
        }
        if let fault = answer["error"], !fault.isNull { throw PluginError(PluginFault(fault)) }
        return answer["result"]?.objectValue ?? [:]
    }

    private static func said(_ lines: [String]) -> String {
        lines.isEmpty ? "" : "; it said: " + lines.suffix(shownLines).joined(separator: " / ")
    }
}

/// The last lines of a run's standard error.
final class OneShotLines: Sendable {
    private let lines = Mutex<[String]>([])

    func add(_ line: String) {
        lines.withLock { lines in
            if lines.count >= 16 { lines.removeFirst() }
            lines.append(line)
        }
    }

    var last: [String] { lines.withLock { $0 } }
}

/// Collects a run's standard output, at most one frame's worth.
final class OneShotOutput: PluginChannelReceiver {
    private struct State {
        var bytes: [UInt8] = []
        var isTooLong = false
        var isOver = false
        var waiter: CheckedContinuation<Bool, Never>?
    }

    private let state = Mutex(State())

    func received(_ bytes: [UInt8]) -> Duration? {
        state.withLock { state in
            if state.bytes.count + bytes.count <= PluginFrame.defaultMaximum {
                state.bytes += bytes
            } else {
                state.isTooLong = true
            }
        }
        return nil
    }

    func ended(_ error: SystemCallError?) { finish(true) }

    private func finish(_ isOver: Bool) {
        let waiter = state.withLock { state in
            state.isOver = state.isOver || isOver
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume(returning: isOver)
    }

    /// - Returns: false when the time is up, or the task cancelled, before it ended.
    func waitForEnd(limit: Duration?) async -> Bool {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { _ = await self.waitForEnd() }
            if let limit { group.addTask { try? await Task.sleep(for: limit) } }
            await group.next()
            group.cancelAll()
        }
        return state.withLock { $0.isOver }
    }

    private func waitForEnd() async -> Bool {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let now = state.withLock { state -> Bool? in
                    if state.isOver || Task.isCancelled { return state.isOver }
                    state.waiter = continuation
                    return nil
                }
                if let now { continuation.resume(returning: now) }
            }
        } onCancel: {
            finish(false)
        }
    }

    func take() -> Result<[UInt8], PluginError> {
        state.withLock { state in
            guard state.isTooLong else { return .success(state.bytes) }
            let limit = PluginFrame.defaultMaximum
            return .failure(PluginError(PluginFault(.internal, "the plugin wrote more than \(limit) bytes")))
        }
    }
}

/// Lets so many bodies run at once; more wait, first come first served. A cancelled waiter leaves with
/// `CancellationError`.
final class ParallelGate: Sendable {
    private let lanes: [SerialLane]
    private let next = Atomic<Int>(0)
    private let counts = Mutex((running: 0, waiting: 0))

    init(width: Int) { lanes = (0..<max(width, 1)).map { _ in SerialLane() } }

    var running: Int { counts.withLock { $0.running } }
    var waiting: Int { counts.withLock { $0.waiting } }

    func run<Value: Sendable>(_ body: @Sendable () async -> Value) async throws -> Value {
        let turn = next.wrappingAdd(1, ordering: .relaxed).oldValue
        let lane = lanes.first { !$0.isBusy } ?? lanes[Int(UInt(bitPattern: turn) % UInt(lanes.count))]
        counts.withLock { $0.waiting += 1 }
        var isWaiting = true
        defer { counts.withLock { if isWaiting { $0.waiting -= 1 } else { $0.running -= 1 } } }
        return try await lane.run {
            counts.withLock {
                $0.waiting -= 1
                $0.running += 1
            }
            isWaiting = false
            return await body()
        }
    }
}
