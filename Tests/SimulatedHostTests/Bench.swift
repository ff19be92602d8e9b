import HostBackend
import HostConformance
import Logging
import SimulatedHost
import Support
import Synchronization
import TestSupport

/// A world with hosts on a directory of its own, for one test.
final class Bench: Sendable {
    let directory: String
    let world: SimulatedWorld
    private let hosts = Mutex<[SimulatedHost]>([])

    init(directory: String, world: SimulatedWorld) {
        self.directory = directory
        self.world = world
    }

    var logger: Logger { Logger(label: "test") { _ in SwiftLogNoOpLogHandler() } }

    func host(
        _ name: String = "host-a",
        world other: SimulatedWorld? = nil,
        _ change: (inout SimulatedSettings) throws -> Void = { _ in }
    ) async throws -> SimulatedHost {
        var settings = SimulatedSettings()
        settings.syncState = false
        try change(&settings)
        let host = SimulatedHost(
            name: name,
            settings: settings,
            stateDirectory: directory + "/" + name,
            world: other ?? world,
            logger: logger
        )
        hosts.withLock { $0.append(host) }
        try await host.connect()
        return host
    }

    /// Ends all hosts: until then a world and its hosts hold each other.
    func disconnect() async {
        for host in hosts.withLock({ $0 }) { await host.disconnect() }
    }

    func spec(_ name: String = "vm", _ metadata: [String: String] = [:], host: String = "host-a") -> MachineSpec {
        MachineSpec(
            uuid: newUUID(),
            name: name,
            directory: directory + "/" + host + "/" + name,
            memoryMB: 256,
            vcpus: 1,
            metadata: metadata
        )
    }

    /// A defined and running machine, with the reader of its console.
    func running(
        on host: SimulatedHost,
        _ metadata: [String: String] = [:]
    ) async throws -> (spec: MachineSpec, console: ConsoleReader) {
        let spec = spec("vm", metadata)
        try await host.createMachine(spec)
        _ = try await host.setState(spec.uuid, .running, deadline: .seconds(5))
        return (spec, try await ConsoleReader(host.openConsole(spec.uuid)))
    }
}

func newUUID() -> InstanceUUID {
    guard let uuid = InstanceUUID(UniqueID.makeDashed()) else { preconditionFailure("no uuid") }
    return uuid
}

/// Runs `body` with a world of its own; with a manual clock unless told otherwise.
func withBench<Result>(
    clock: SimulatedClock = .manual,
    _ body: (Bench) async throws -> Result
) async throws -> Result {
    try await withTemporaryDirectory { directory in
        let bench = try Bench(directory: directory, world: SimulatedWorld(clock: clock))
        do {
            let result = try await body(bench)
            await bench.disconnect()
            return result
        } catch {
            await bench.disconnect()
            throw error
        }
    }
}

/// The code of the error that `body` throws, `nil` when it throws none.
func code(_ body: () async throws -> Void) async -> BackendError.Code? {
    do {
        try await body()
        return nil
    } catch {
        return (error as? BackendError)?.code ?? .internal
    }
}
