import AMQPModel
import DaemonBench
import Foundation
import JSONCodec
import Logging
import OsloMessaging
import RPCClient
import Support
import TestSupport
import Testing

/// Several workers with many hosts each, on one broker or cluster, and clients that ask them.
struct Fleet: Sendable {
    struct Settings: Sendable {
        var workers = 4
        var hostsPerWorker = 10
        var options: [String: [String: String]] = [:]
        /// How the workers reach the broker.
        var url: String
        /// One client for each.
        var clientURLs: [String]
        /// As the workers' options say.
        var topology = TopologyOptions()
    }

    let workers: [DaemonProcess]
    /// By worker.
    let hosts: [[String]]
    let clients: [RPCClient]

    var allHosts: [String] { hosts.flatMap { $0 } }
    var client: RPCClient { clients[0] }

    /// Another `vmopsd` than the one built beside the tests, as one of a release build: `VMOPS_TEST_DAEMON`.
    static let program = TestForm.environment("VMOPS_TEST_DAEMON")
    /// What runs, for reports.
    static let build = program ?? "the build of the tests"

    /// Starts all workers at once, and runs `body` without waiting for their service.
    static func run(_ settings: Settings, _ body: @escaping @Sendable (Fleet) async throws -> Void) async throws {
        try await connect(settings, []) { clients in
            try await start(settings, clients, [], body)
        }
    }

    private static func connect(
        _ settings: Settings,
        _ clients: [RPCClient],
        _ body: @escaping @Sendable ([RPCClient]) async throws -> Void
    ) async throws {
        guard clients.count < settings.clientURLs.count else { return try await body(clients) }
        try await withRPCClient(
            connection: try ConnectionOptions(transportURL: settings.clientURLs[clients.count]),
            settings: RPCClientSettings(topology: settings.topology, maximumGathered: 100_000),
            logger: Logger(label: "fleet") { _ in SwiftLogNoOpLogHandler() }
        ) { try await connect(settings, clients + [$0], body) }
    }

    private static func start(
        _ settings: Settings,
        _ clients: [RPCClient],
        _ workers: [DaemonProcess],
        _ body: @escaping @Sendable (Fleet) async throws -> Void
    ) async throws {
        guard workers.count < settings.workers else {
            let hosts = workers.map(\.settings.hosts)
            return try await body(Fleet(workers: workers, hosts: hosts, clients: clients))
        }
        let number = workers.count
        var daemon = DaemonSettings(
            hosts: (0..<settings.hostsPerWorker).map { "host-\(number)-\($0)" },
            options: settings.options,
            url: settings.url
        )
        if let program { daemon.command = [program] }
        try await DaemonProcess.run(daemon, waitsForService: false) { worker in
            try await start(settings, clients, workers + [worker], body)
        }
    }

    // MARK: - Asking

    static func target(_ host: String?) -> RPCTarget {
        RPCTarget(exchange: "nova", topic: "compute", server: host, version: "1.0")
    }

    /// A fan-out that every host has to answer.
    func ask(_ method: String, _ client: RPCClient? = nil, deadline: Duration = .seconds(120)) async throws
        -> [JSONValue]
    {
        try await (client ?? self.client).gather(
            Self.target(nil),
            method,
            deadline: deadline,
            expected: allHosts.count
        ).map { try $0.get() }
    }

    /// Asks until every host has answered one and the same fan-out.
    ///
    /// - Returns: how long that took from the call on.
    @discardableResult
    func untilAllAnswer(_ client: RPCClient? = nil, timeout: Duration = .seconds(180)) async throws -> Duration {
        let start = ContinuousClock.now
        let hosts = Set(allHosts)
        // A host that is not there yet must not hold up the next attempt, nor a slow machine all of them.
        var deadline = Duration.milliseconds(500)
        try await eventually(timeout: timeout, "an answer of each of \(hosts.count) hosts") {
            let answers = try? await ask("ping", client, deadline: deadline)
            deadline = min(deadline * 2, .seconds(30))
            return Set((answers ?? []).compactMap { $0["host"]?.stringValue }) == hosts
        }
        return .now - start
    }

    /// What the workers tell of themselves.
    func status() async throws -> (instances: Int, unfinished: Int) {
        var instances = 0
        var unfinished = 0
        for worker in workers {
            let text = try await AdminRequest.get("/status", at: worker.adminSocket)
            let status = try JSONReader.read(Array(text.utf8))
            for host in status["hosts"]?.arrayValue ?? [] { instances += Int(host["instances"]?.intValue ?? 0) }
            for name in ["running", "queued", "held", "replies_owed"] {
                unfinished += Int(status["operations"]?[name]?.intValue ?? 0)
            }
        }
        return (instances, unfinished)
    }

    /// Waits until the hosts have so many instances, or as many again in two looks, and nothing is under way.
    func untilSettled(instances: Int, orMore: Bool = false, timeout: Duration = .seconds(900)) async throws {
        var last = (instances: -1, unfinished: -1)
        do {
            try await eventually(timeout: timeout, "\(instances) instances") {
                let before = last
                last = try await status()
                guard last.unfinished == 0 else { return false }
                return last.instances == instances || orMore && last.instances > instances && last == before
            }
        } catch let failure as ConditionNotMet {
            throw Unexpected("\(failure): there are \(last.instances), \(last.unfinished) requests unfinished")
        }
    }

    /// The workers' processes, now.
    func processes() throws -> [ProcessFigures] {
        try workers.map { worker in
            guard let id = worker.processIdentifier else { throw Unexpected("a worker does not run") }
            return try ProcessFigures(id)
        }
    }

    /// Ends all workers at once.
    func terminate() async throws {
        try await everywhere(workers) { try await $0.terminate() }
    }
}

/// Does something with each element, with a bounded number of them at once.
func everywhere<Element: Sendable>(
    _ all: [Element],
    width: Int = 64,
    _ body: @escaping @Sendable (Element) async throws -> Void
) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
        for (number, element) in all.enumerated() {
            if number >= width { try await group.next() }
            group.addTask { try await body(element) }
        }
        try await group.waitForAll()
    }
}
