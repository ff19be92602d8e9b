import Console
import Foundation
import HostBackend
import Journal
import Logging
import SimulatedHost
import Support
import Synchronization
import TestSupport
import Testing

@testable import VMOps

/// Hosts with everything below the remote methods: simulated backend, journal, consoles and operations, on real files
/// in a temporary directory.
final class TestWorld: Sendable {
    let directory: String
    let simulated: SimulatedWorld
    let consoles: ConsoleEngine
    /// Of its own, for a pool closes the files that were used least when there are many.
    let committers = CommitterPool(threads: 1)
    let peers = TestPeers()
    let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    private let hosts = Mutex<[TestHost]>([])

    private init(_ directory: String) throws {
        self.directory = directory
        simulated = try SimulatedWorld()
        consoles = try ConsoleEngine(writers: 1)
    }

    /// Runs `body` with an empty world, which is taken down afterwards.
    static func with(_ body: (TestWorld) async throws -> Void) async throws {
        try await withTemporaryDirectory { directory in
            let world = try TestWorld(directory)
            do {
                try await body(world)
            } catch {
                await world.end()
                throw error
            }
            await world.end()
        }
    }

    /// The same with one host in service.
    static func withHost(
        _ change: (inout TestHost.Options) -> Void = { _ in },
        _ body: (TestHost) async throws -> Void
    ) async throws {
        try await with { world in
            try await body(try await world.host("host-a", change))
        }
    }

    private func end() async {
        simulated.setHook(nil)
        // They hold the world, and one another through it.
        let all = hosts.withLock { hosts in
            defer { hosts = [] }
            return hosts
        }
        for host in all { await host.stop() }
        peers.clear()
    }

    /// Takes a host into service, on the files of an earlier one of that name if there was one.
    func host(_ name: String, _ change: (inout TestHost.Options) -> Void = { _ in }) async throws -> TestHost {
        let host = try await prepared(name, change)
        try await host.start()
        return host
    }

    /// A host that is not in service yet.
    func prepared(_ name: String, _ change: (inout TestHost.Options) -> Void = { _ in }) async throws -> TestHost {
        var options = TestHost.Options(imagesPath: directory + "/images")
        change(&options)
        let host = try TestHost(name, options, self)
        hosts.withLock { $0.append(host) }
        peers.set(host.operations)
        return host
    }

    /// An image of a megabyte.
    @discardableResult
    func image(_ name: String = "image") throws -> String {
        let images = directory + "/images"
        try FileManager.default.createDirectory(atPath: images, withIntermediateDirectories: true)
        try Data(repeating: 0x5A, count: 1 << 20).write(to: URL(fileURLWithPath: images + "/\(name).raw"))
        return name
    }

    /// A volume of type `file`.
    func volume(_ id: String = "volume-1", isBoot: Bool = false) throws -> VolumeConnection {
        let path = directory + "/\(id).raw"
        try Data(repeating: 0, count: 1 << 20).write(to: URL(fileURLWithPath: path))
        return VolumeConnection(
            volumeID: id,
            type: "file",
            data: Redacted(["device_path": .string(path)]),
            isBootVolume: isBoot
        )
    }
}

/// Finds the hosts of a test.
final class TestPeers: MigrationPeers {
    private let hosts = Mutex<[String: VMOps]>([:])
    /// Wraps what the source sees of a destination.
    let wrap = Mutex<(@Sendable (any MigrationPeer) -> any MigrationPeer)?>(nil)

    func set(_ operations: VMOps) { hosts.withLock { $0[operations.host] = operations } }

    func remove(_ host: String) { hosts.withLock { _ = $0.removeValue(forKey: host) } }

    func clear() {
        hosts.withLock { $0 = [:] }
        wrap.withLock { $0 = nil }
    }

    func peer(_ host: String) throws -> any MigrationPeer {
        guard let peer = hosts.withLock({ $0[host] }) else {
            throw OperationError(.migrationPreCheckError, "no host \(host)")
        }
        return wrap.withLock { $0 }?(peer) ?? peer
    }
}

/// Remembers what it is told.
final class RecordingObserver: OperationObserver {
    private let list = Mutex<[String]>([])
    var all: [String] { list.withLock { $0 } }

    func operationStarted(_ operation: String, _ record: InstanceRecord, context: OperationContext) {
        list.withLock { $0.append("\(operation) start") }
    }

    func operationEnded(
        _ operation: String,
        _ record: InstanceRecord,
        context: OperationContext,
        error: OperationError?
    ) {
        list.withLock { $0.append("\(operation) \(error?.code.className ?? "end")") }
    }

    func machineChanged(_ event: MachineEvent, _ record: InstanceRecord) {
        list.withLock { $0.append("changed \(record.state.rawValue)") }
    }
}

func newUUID() -> InstanceUUID {
    guard let uuid = InstanceUUID(UniqueID.makeDashed()) else { preconditionFailure("no uuid") }
    return uuid
}

/// A place that tasks reach, stay at, and are let go from.
final class Gate: Sendable {
    private struct State {
        var isOpen = false
        var reached = 0
        var waiting: [CheckedContinuation<Void, Never>] = []
        var watchers: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())

    /// Stays until the gate is opened, also when cancelled.
    func pass() async {
        await withCheckedContinuation { continuation in
            let (isOpen, watchers) = state.withLock { state in
                state.reached += 1
                defer { state.watchers = [] }
                if !state.isOpen { state.waiting.append(continuation) }
                return (state.isOpen, state.watchers)
            }
            for watcher in watchers { watcher.resume() }
            if isOpen { continuation.resume() }
        }
    }

    /// Returns when somebody is there.
    func untilReached() async {
        await withCheckedContinuation { continuation in
            let isReached = state.withLock { state in
                if state.reached == 0 { state.watchers.append(continuation) }
                return state.reached > 0
            }
            if isReached { continuation.resume() }
        }
    }

    func open() {
        let waiting = state.withLock { state in
            state.isOpen = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }
}

/// The class of the error that `body` ends with; `nil` if it succeeds.
func errorClass(_ body: () async throws -> Void) async throws -> String? {
    do {
        try await body()
        return nil
    } catch let error as OperationError {
        return error.code.className
    }
}
