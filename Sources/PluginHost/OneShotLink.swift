import HostBackend
import JSONCodec
import PluginProtocol
import Processes
import Support
import Synchronization

/// A plugin that is started for each request (plugin protocol, section 11).
final class OneShotLink: PluginLink {
    private struct State {
        var isEnded = false
        var endWaiter: CheckedContinuation<PluginError, Never>?
    }

    let hello: PluginHello
    private let command: PluginCommand
    private let common: JSONObject
    private let times: PluginTimes
    private let launcher: PluginLauncher
    private let log: @Sendable (PluginLogLine) -> Void
    private let gate: ParallelGate
    private let state = Mutex(State())

    var events: AsyncStream<PluginEvent>? { nil }
    var requests: Int { gate.running + gate.waiting }

    /// Runs `COMMAND hello`.
    static func open(
        _ command: PluginCommand,
        hello: WorkerHello,
        times: PluginTimes,
        launcher: PluginLauncher,
        log: @escaping @Sendable (PluginLogLine) -> Void
    ) async throws(PluginError) -> OneShotLink {
        var common: JSONObject = [:]
        for key in ["host", "instances_directory", "state_directory", "options"] { common[key] = hello.json[key] }
        let run = OneShotRun(command: command, launcher: launcher, log: log)
        var answer: JSONObject
        do throws(PluginError) {
            answer = try await run.run("hello", common, deadline: times.start, grace: times.grace)
        } catch {
            throw PluginError(.start, "the plugin said no hello: \(error.message)", fault: error.fault)
        }
        let versions = (answer["versions"]?.arrayValue ?? []).compactMap { $0.intValue.map { Int($0) } }
        guard let version = PluginVersion.spoken.first(where: { versions.contains($0) }) else {
            throw PluginError(
                .incompatible,
                "no version of the protocol in common: this worker speaks \(PluginVersion.spoken), the plugin \(versions)"
            )
        }
        answer["version"] = .int(Int64(version))
        do throws(BackendError) {
            let members = PluginMembers(answer, of: "the plugin's hello", code: .internal)
            let hello = try PluginHello(members)
            return OneShotLink(hello, command, common, times, launcher, log)
        } catch {
            throw PluginError(.violation, error.message)
        }
    }

    private init(
        _ hello: PluginHello,
        _ command: PluginCommand,
        _ common: JSONObject,
        _ times: PluginTimes,
        _ launcher: PluginLauncher,
        _ log: @escaping @Sendable (PluginLogLine) -> Void
    ) {
        self.hello = hello
        self.command = command
        self.common = common
        self.times = times
        self.launcher = launcher
        self.log = log
        gate = ParallelGate(width: hello.maximumParallel)
    }

    func request(
        _ method: PluginMethod,
        _ params: JSONObject,
        deadline: Duration?,
        key: String?,
        progress: AsyncStream<JSONObject>.Continuation?
    ) async throws(PluginError) -> JSONObject {
        defer { progress?.finish() }
        guard state.withLock({ !$0.isEnded }) else { throw PluginError(.closed, "the plugin was ended") }
        var input = common
        input["params"] = .object(params)
        input["deadline_ms"] = deadline.map { .int(Int64($0 / .milliseconds(1))) }
        input["idempotency_key"] = key.map { .string($0) }
        let (run, document, grace) = (OneShotRun(command: command, launcher: launcher, log: log), input, times.grace)
        let result: Result<JSONObject, PluginError>
        do {
            result = try await gate.run {
                do throws(PluginError) {
                    return .success(
                        try await run.run(method.rawValue, document, deadline: deadline, grace: grace)
                    )
                } catch {
                    return .failure(error)
                }
            }
        } catch {
            throw PluginError(.cancelled, "\(method.rawValue) was given up before it was sent")
        }
        return try result.get()
    }

    func openConsole(_ uuid: InstanceUUID, from offset: UInt64?) async throws(PluginError) -> PluginConsole {
        let params: JSONObject = ["uuid": .string(uuid.text)]
        let answer = try await request(.consoleOpen, params, deadline: .seconds(30), key: nil, progress: nil)
        guard let path = answer["path"]?.stringValue else {
            throw PluginError(PluginFault(.internal, "console.open of a one-shot plugin answered without a path"))
        }
        return .path(path)
    }

    func waitForEnd() async -> PluginError {
        let error = PluginError(.closed, "the plugin was ended")
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isEnded = state.withLock { state in
                    if !state.isEnded { state.endWaiter = continuation }
                    return state.isEnded
                }
                if isEnded { continuation.resume(returning: error) }
            }
        } onCancel: {
            finish(error)
        }
    }

    func end(reason: String?) async { finish(PluginError(.closed, "the plugin was ended")) }

    private func finish(_ error: PluginError) {
        let waiter = state.withLock { state in
            state.isEnded = true
            defer { state.endWaiter = nil }
            return state.endWaiter
        }
        waiter?.resume(returning: error)
    }
}
