import Console
import Glibc
import HostBackend
import Logging
import Synchronization

/// Captures a range of open descriptors with the worker's own console service until all of them have ended.
///
/// Every descriptor is one machine that prints and then stops: its second opening says that it has no console any
/// more, which also tells that all it printed was read.
final class ConsoleCapture: Sendable {
    private enum Event: Sendable { case opened, ended }

    private let firstDescriptor: Int32
    private let count: Int
    private let directory: String
    private let service: ConsoleService
    private let events: AsyncStream<Event>
    private let event: AsyncStream<Event>.Continuation
    private let opened: Mutex<Set<Int>> = Mutex([])

    init(firstDescriptor: Int32, count: Int, directory: String, settings: ConsoleSettings) throws {
        self.firstDescriptor = firstDescriptor
        self.count = count
        self.directory = directory
        service = ConsoleService(
            host: "bench",
            settings: settings,
            engine: try ConsoleEngine(),
            logger: Logger(label: "vmops-bench")
        )
        // Two events for each console, no more.
        (events, event) = AsyncStream.makeStream()
    }

    /// What was captured, over all consoles.
    struct Totals: Sendable {
        var bytesIn: Int64 = 0
        var dropped: Int64 = 0
        var rotations: Int64 = 0
    }

    /// - Parameter ready: called once, when all descriptors are being read.
    func run(ready: () -> Void) async throws -> Totals {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { [service] in try await service.run() }
            for index in 0..<count { await begin(index) }
            var opened = 0, ended = 0
            for await event in events {
                switch event {
                case .opened:
                    opened += 1
                    if opened == count { ready() }
                case .ended:
                    ended += 1
                }
                if ended == count { break }
            }
            let totals = try await closeAll()
            await service.shutdown()
            try await group.waitForAll()
            return totals
        }
    }

    private func begin(_ index: Int) async {
        guard let uuid = Self.uuid(index) else { return }
        await service.ensure(uuid, directory: path(index), mark: nil) { [self] in try open(index) }
    }

    private func open(_ index: Int) throws -> ConsoleEndpoint {
        guard opened.withLock({ $0.insert(index).inserted }) else {
            event.yield(.ended)
            throw BackendError.unsupported("a second run")
        }
        let descriptor = firstDescriptor + Int32(index)
        guard fcntl(descriptor, F_SETFL, O_NONBLOCK) == 0 else {
            throw BackendError(.notFound, "descriptor \(descriptor) is not open")
        }
        event.yield(.opened)
        return .descriptor(ConsoleDescriptor(fileDescriptor: descriptor))
    }

    /// Writes what is still in memory; the files are complete afterwards.
    private func closeAll() async throws -> Totals {
        var totals = Totals()
        for index in 0..<count {
            guard let uuid = Self.uuid(index) else { continue }
            let status = try await service.status(uuid, directory: path(index))
            totals.bytesIn += status.bytesIn
            totals.dropped += status.bytesDropped
            totals.rotations += status.rotations
            await service.close(uuid, mark: nil)
        }
        return totals
    }

    private func path(_ index: Int) -> String { "\(directory)/\(index)" }

    private static func uuid(_ index: Int) -> InstanceUUID? {
        let digits = String(index, radix: 16)
        return InstanceUUID(String(repeating: "0", count: 32 - digits.count) + digits)
    }
}
