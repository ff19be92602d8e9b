import JSONCodec
import Support
import TestSupport
import Testing

/// What is declared is what the Python library declares, so that both serve one topic side by side.
@Suite(.needsBroker, .needsPython, .timeLimit(.minutes(5)))
struct TopologyTests {
    private static let configurations: [(captured: String, options: [String: String])] = [
        ("default", [:]),
        ("amqp_durable_queues", ["amqp_durable_queues": "true"]),
        ("amqp_auto_delete", ["amqp_auto_delete": "true"]),
        ("rabbit_quorum_queue", ["rabbit_quorum_queue": "true"]),
        (
            "rabbit_quorum_queue with limits",
            [
                "rabbit_quorum_queue": "true", "rabbit_quorum_delivery_limit": "5",
                "rabbit_quorum_max_memory_length": "1000", "rabbit_quorum_max_memory_bytes": "1048576",
            ]
        ),
        ("rabbit_transient_queues_ttl=0", ["rabbit_transient_queues_ttl": "0"]),
    ]

    @Test(arguments: configurations.indices)
    func theBrokerListsWhatPythonDeclares(number: Int) async throws {
        let (captured, options) = Self.configurations[number]
        let settings = DaemonSettings(
            hosts: ["host1"],
            options: [
                "DEFAULT": ["control_exchange": "openstack", "compute_alt_topic": ""],
                "oslo_messaging_rabbit": options,
            ]
        )
        try await DaemonProcess.run(settings) { daemon in
            let broker = try #require(TestBroker.shared)
            let found = try await BrokerTopology.of(daemon.virtualHost, on: broker)
            let wanted = try BrokerTopology.captured(captured)
            #expect(found.exchanges == wanted.exchanges)
            #expect(found.queues == wanted.queues)
            #expect(found.bindings == wanted.bindings)
            #expect(wanted.queues.count == 3 && wanted.bindings.count == 3)
        }
    }

    @Test func onlyTheFanoutQueueGoesWithTheDaemon() async throws {
        try await DaemonProcess.run(DaemonSettings(hosts: ["host-a"])) { daemon in
            let broker = try #require(TestBroker.shared)
            let serving = try await broker.queueNames(virtualHost: daemon.virtualHost)
            let kept = ["compute", "compute-alt", "compute-alt.host-a", "compute.host-a"]
            #expect(serving.filter { !$0.contains("_fanout_") } == kept)
            #expect(serving.count == 6)
            try await daemon.terminate()
            #expect(try await broker.queueNames(virtualHost: daemon.virtualHost) == kept)
        }
    }

    /// A stock Python server and vmopsd under one configuration, in both orders of starting.
    @Test(arguments: OsloVersion.allCases, ["default", "durable", "quorum"])
    func aPythonServerServesTheSameTopic(version: OsloVersion, kind: String) async throws {
        let options = [
            "default": [:], "durable": ["amqp_durable_queues": "true"], "quorum": ["rabbit_quorum_queue": "true"],
        ]
        let rabbit = options[kind] ?? [:]
        let peerOptions = rabbit.flatMap { ["--option", "\($0.key)=\($0.value)"] }
        let settings = DaemonSettings(hosts: ["host-a"], options: ["oslo_messaging_rabbit": rabbit])
        try await DaemonProcess.run(settings) { daemon in
            let arguments = ["--url", daemon.url, "--server", "python-host"] + peerOptions
            try await PythonPeer.run("rpc_server.py", arguments, version: version) { server in
                #expect(try await server.readLine(timeout: .seconds(60)).contains("ready"))
                try await OsloClient.run(version, url: daemon.url, options: peerOptions) {
                    (client: OsloClient) async throws in
                    #expect(try await client.call("ping").result?["host"] == "host-a")
                    let named = try await client.call("who", host: "python-host", ["version": "1.3"])
                    #expect(named.result != nil, "\(named.fields)")
                    _ = try await server.readLine()
                    // A cast to all reaches both: the stranger acts on its own method, ours refuses it.
                    try await client.fanout("who", [:], ["version": "1.3"])
                    #expect(try await server.readLine().contains("who"))
                    try await daemon.waitForLog("UnsupportedVersion")
                    // The topic is shared: each of several calls is answered by one of the two.
                    var answered: Set<String> = []
                    for _ in 0..<40 where answered.count < 2 {
                        let answer = try await client.call("ping", host: nil)
                        answered.insert(answer.raised ?? "vmopsd")
                    }
                    #expect(answered == ["vmopsd", "NoSuchMethod_Remote"])
                }
                // The daemon comes back to objects that the Python server keeps alive.
                try await daemon.restart()
                try await OsloClient.run(version, url: daemon.url, options: peerOptions) {
                    (client: OsloClient) async throws in
                    #expect(try await client.call("ping").result?["host"] == "host-a")
                }
                #expect(!daemon.log.contains("PRECONDITION_FAILED"))
            }
        }
    }

    /// The Python server declared everything before, under other options: it is used as it is, and said loudly.
    @Test(arguments: OsloVersion.allCases)
    func aMismatchIsReportedAndServed(version: OsloVersion) async throws {
        try await TestBroker.withVirtualHost { url in
            let arguments = ["--url", url, "--server", "host-a"]
            try await PythonPeer.run("rpc_server.py", arguments, version: version) {
                (server: LineProcess) async throws in
                #expect(try await server.readLine(timeout: .seconds(60)).contains("ready"))
            }
            let settings = DaemonSettings(
                hosts: ["host-a"],
                options: ["oslo_messaging_rabbit": ["amqp_durable_queues": "true"]],
                url: url
            )
            try await DaemonProcess.run(settings) { daemon in
                let report = daemon.logLines.filter { $0.contains("PRECONDITION_FAILED") }
                #expect(!report.isEmpty, "\(daemon.log)")
                #expect(report.allSatisfy { $0.contains("error") || $0.contains("warning") }, "\(report)")
                for object in ["exchange nova", "queue compute", "queue compute.host-a"] {
                    #expect(report.contains { $0.contains("\"\(object)\"") }, "\(object): \(report)")
                }
                try await OsloClient.run(version, url: url) { (client: OsloClient) async throws in
                    for host in ["host-a", nil] {
                        #expect(try await client.call("ping", host: host).result?["host"] == "host-a")
                    }
                }
            }
        }
    }
}
