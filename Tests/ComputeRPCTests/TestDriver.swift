import Console
import Foundation
import HostBackend
import Journal
import Logging
import OsloMessaging
import SimulatedHost
import Support
import Synchronization
import TestSupport
import Testing
import VMOps

@testable import ComputeRPC

/// The driver-level methods on a simulated host in a temporary directory.
struct TestDriver: Sendable {
    let directory: String
    let backend: SimulatedHost
    let operations: VMOps
    let endpoint: DriverEndpoint
    let injectsPasswords: SendableFlag

    final class SendableFlag: Sendable {
        private let flag = Atomic<Bool>(false)
        var value: Bool {
            get { flag.load(ordering: .relaxed) }
            set { flag.store(newValue, ordering: .relaxed) }
        }
    }

    struct NoPeers: MigrationPeers {
        func peer(_ host: String) throws -> any MigrationPeer {
            throw OperationError(.migrationPreCheckError, "no host \(host)")
        }
    }

    static func with(
        host: String = "host-a",
        peers: any MigrationPeers = NoPeers(),
        _ body: (TestDriver) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory { directory in
            let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            var simulated = SimulatedSettings()
            simulated.syncState = false
            simulated.imagesPath = directory + "/images"
            let backend = SimulatedHost(
                name: host,
                settings: simulated,
                stateDirectory: directory + "/simulated",
                world: try SimulatedWorld(),
                logger: logger
            )
            let journal = try Journal(
                path: directory + "/journal.sqlite",
                logger: logger,
                pool: CommitterPool(threads: 1)
            )
            let engine = try ConsoleEngine(writers: 1)
            var console = ConsoleSettings()
            console.flushInterval = .milliseconds(5)
            console.drainQuiet = .milliseconds(5)
            let operations = VMOps(
                host: host,
                backend: backend,
                console: ConsoleService(host: host, settings: console, engine: engine, logger: logger),
                journal: journal,
                instancesPath: directory + "/instances",
                settings: OperationSettings(imagesPath: directory + "/images"),
                peers: peers,
                observer: SilentObserver(),
                logger: logger
            )
            let flag = SendableFlag()
            let endpoint = DriverEndpoint(
                operations: operations,
                identity: .init(host: host, backend: "simulated", version: "1.2.3"),
                injectsPasswords: { flag.value }
            )
            let driver = TestDriver(
                directory: directory,
                backend: backend,
                operations: operations,
                endpoint: endpoint,
                injectsPasswords: flag
            )
            try await operations.start()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await operations.run() }
                do {
                    try await body(driver)
                } catch {
                    await operations.stop()
                    throw error
                }
                await operations.stop()
            }
            await journal.close()
        }
    }

    @discardableResult
    func call(_ method: String, _ args: JSONObject = [:], key: String? = nil) async throws -> JSONValue {
        let request = RPCRequest(method: method, args: args, uniqueID: key, context: ["request_id": "req-1"])
        let found = try #require(endpoint.method(named: method))
        switch found.handler {
        case .inline(let body): return try body(request)
        case .immediate(let body, let waiting): return try await body(request).orElse { try await waiting(request) }
        case .read(let body), .mutating(let body): return try await body(request)
        }
    }

    /// How the call fails; `nil` if it succeeds.
    func failure(_ method: String, _ args: JSONObject = [:]) async throws -> RemoteFailure? {
        do {
            try await call(method, args)
            return nil
        } catch let failure as RemoteFailure {
            return failure
        }
    }

    static func instance(_ changes: JSONObject = [:]) -> JSONObject {
        var instance: JSONObject = [
            "uuid": .string(UniqueID.makeDashed()),
            "name": "instance-1",
            "memory_mb": 64,
            "vcpus": 1,
            "root_gb": 0,
        ]
        for member in changes { instance[member.key] = member.value }
        return instance
    }

    func spawn(_ changes: JSONObject = [:], _ more: JSONObject = [:]) async throws -> JSONObject {
        let instance = Self.instance(changes)
        var args: JSONObject = ["instance": .object(instance)]
        for member in more { args[member.key] = member.value }
        try await call("spawn", args)
        return instance
    }
}

extension Optional {
    fileprivate func orElse(_ other: () async throws -> Wrapped) async rethrows -> Wrapped {
        if let self { return self }
        return try await other()
    }
}
