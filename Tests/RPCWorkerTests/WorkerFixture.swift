import AMQPModel
import JSONCodec
import Journal
import Logging
import OsloMessaging
import RPCWorker
import ServiceLifecycle
import Support
import Synchronization
import TestSupport

/// Methods that a test defines.
struct TestEndpoint: RPCEndpoint {
    var namespace: String?
    var version = "1.1"
    let methods: [String: RemoteMethod]

    init(namespace: String? = nil, _ methods: [String: RemoteMethod.Handler]) {
        self.namespace = namespace
        self.methods = Dictionary(uniqueKeysWithValues: methods.map { ($0, RemoteMethod($0, $1)) })
    }

    func method(named name: String) -> RemoteMethod? { methods[name] }
}

/// Hosts as a test serves them: journals in a directory, so that a second worker can take them over.
struct TestHosts: Sendable {
    let directory: String
    let names: [String]
    let endpoints: @Sendable (String) -> [any RPCEndpoint]
    let journals: JournalSettings
    var recovery: (any RequestRecovery)?

    init(
        in directory: String,
        _ names: [String] = ["host-a"],
        journals: JournalSettings = JournalSettings(),
        recovery: (any RequestRecovery)? = nil,
        _ endpoints: @escaping @Sendable (String) -> [any RPCEndpoint]
    ) {
        self.directory = directory
        self.names = names
        self.journals = journals
        self.recovery = recovery
        self.endpoints = endpoints
    }

    func journal(_ name: String) throws -> Journal {
        try Journal(path: "\(directory)/\(name).sqlite", settings: journals, logger: Self.quiet)
    }

    static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
}

/// How a worker is ended after the test's body.
enum Ending: Sendable { case graceful, cancelled }

/// Runs a worker while `body` runs.
func withWorker<Result: Sendable>(
    _ hosts: TestHosts,
    url: String,
    settings: RPCWorkerSettings = RPCWorkerSettings(topics: ["compute"]),
    logger: Logger = TestHosts.quiet,
    ending: Ending = .graceful,
    _ body: @escaping @Sendable (RPCWorker) async throws -> Result
) async throws -> Result {
    let journals = try hosts.names.map { try hosts.journal($0) }
    let address = try TransportURL(url)
    let worker = try RPCWorker(
        hosts: zip(hosts.names, journals).map { name, journal in
            ServedHost(name: name, endpoints: hosts.endpoints(name), journal: journal, recovery: hosts.recovery)
        },
        connection: ConnectionOptions(
            addresses: address.addresses,
            virtualHost: address.virtualHost,
            connectionName: "worker"
        ),
        settings: settings,
        logger: logger
    )
    let group = ServiceGroup(
        configuration: ServiceGroupConfiguration(services: [worker], gracefulShutdownSignals: [], logger: logger)
    )
    let result: Swift.Result<Result, any Error>
    do {
        result = .success(
            try await withThrowingTaskGroup(of: Result?.self) { tasks in
                tasks.addTask {
                    try await group.run()
                    return nil
                }
                try await worker.waitUntilReady()
                tasks.addTask { try await body(worker) }
                guard let value = try await tasks.next() ?? nil else { throw WorkerEnded() }
                if ending == .graceful {
                    await group.triggerGracefulShutdown()
                    while try await tasks.next() != nil {}
                } else {
                    tasks.cancelAll()
                    while let ended = await tasks.nextResult() { _ = ended }
                }
                return value
            }
        )
    } catch {
        result = .failure(error)
    }
    for journal in journals { await journal.close() }
    return try result.get()
}

struct WorkerEnded: Error {}

/// Counts by name, from any thread.
final class Tally: Sendable {
    private let counts = Mutex<[String: Int]>([:])

    func add(_ name: String, _ amount: Int = 1) { counts.withLock { $0[name, default: 0] += amount } }

    subscript(name: String) -> Int { counts.withLock { $0[name] ?? 0 } }
}

/// Lets operations wait until the test opens it.
final class Gate: Sendable {
    private struct State {
        var isOpen = false
        var waiting: [CheckedContinuation<Void, Never>] = []
        var arrived = 0
    }

    private let state = Mutex(State())

    /// How many operations have come to it.
    var arrived: Int { state.withLock { $0.arrived } }

    func pass() async {
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                state.arrived += 1
                if !state.isOpen { state.waiting.append(continuation) }
                return state.isOpen
            }
            if isOpen { continuation.resume() }
        }
    }

    func open() {
        let waiting = state.withLock { state in
            state.isOpen = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for waiter in waiting { waiter.resume() }
    }
}

/// The body of a request as a Python client would send it.
func body(_ request: RPCRequest) throws -> String { String(decoding: try request.encode(), as: UTF8.self) }
