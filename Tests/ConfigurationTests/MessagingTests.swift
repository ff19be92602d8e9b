import AMQPModel
import OsloMessaging
import Support
import Testing

@testable import Configuration

@Suite struct MessagingTests {
    @Test func connectsToWhatTheURLSays() throws {
        let settings = try settings(
            "transport_url = rabbit://u:p%40@h1:5671,v:q@[::1]/a%2Fb?ssl=1&heartbeat_timeout_threshold=10\n"
                + "[oslo_messaging_rabbit]\nheartbeat_timeout_threshold = 20\nssl_ca_file = /ca\n"
                + "rabbit_login_method = EXTERNAL\nkombu_reconnect_delay = 0.5\n"
        )
        let options = try settings.connectionOptions(name: "n")
        #expect(Set(options.addresses.map(\.description)) == ["h1:5671", "[::1]:5672"])
        #expect(options.addresses.first { $0.host == "h1" }?.password.secret == "p@")
        #expect(options.virtualHost == "a/b")
        #expect(options.heartbeatSeconds == 10)
        #expect(options.tls == TLSOptions(caFile: "/ca", verifyHostName: true))
        #expect(options.external)
        #expect(options.reconnect.maximum == .milliseconds(500))
        #expect(options.connectionName == "n")
    }

    @Test func urlOptionsAreChecked() {
        let result = load("transport_url = rabbit://h/?heartbeat_tiemout_threshold=1&ssl=maybe\n")
        #expect(result.settings == nil)
        #expect(
            result.texts == [
                "error: test.conf:1: oslo_messaging_rabbit.heartbeat_tiemout_threshold: unknown option; "
                    + "did you mean heartbeat_timeout_threshold?",
                "error: test.conf:1: oslo_messaging_rabbit.ssl: 'maybe' is not a boolean "
                    + "(true, false, yes, no, on, off, 1, 0)",
            ]
        )
    }

    @Test func guestsOfAClusterAreRemarkedUpon() {
        let result = load("transport_url = rabbit://u:hunter2@h1,h2/\n")
        #expect(result.problems.map(\.severity) == [.warning])
        #expect(!result.texts.joined().contains("hunter2"))
    }

    @Test(arguments: ["rabbit://h:abc/", "rabbit://u:pa/ss@h/", "amqp://h/", "h:5672", "rabbit://[::1/"])
    func unusableURLsAreErrors(url: String) {
        let result = load("transport_url = \(url)\n")
        #expect(result.settings == nil)
        #expect(result.texts[0].hasPrefix("error: test.conf:1: DEFAULT.transport_url: "))
    }

    @Test func notificationsHaveTheirOwnBrokerOrTheSame() throws {
        #expect(
            try settings("transport_url = rabbit://a/").notificationConnectionOptions(name: "n").addresses[0].host
                == "a"
        )
        let text = "transport_url = rabbit://a/\n[oslo_messaging_notifications]\ntransport_url = rabbit://b/"
        #expect(try settings(text).notificationConnectionOptions(name: "n").addresses[0].host == "b")
    }

    @Test func topologyFollowsTheOptions() throws {
        var expected = TopologyOptions()
        expected.prefetchCount = 128
        #expect(try settings().topologyOptions == expected)
        let text = """
            [oslo_messaging_rabbit]
            amqp_durable_queues = true
            rabbit_transient_quorum_queue = true
            rabbit_stream_fanout = true
            rabbit_qos_prefetch_count = 9
            rabbit_transient_queues_ttl = 60
            rabbit_quroum_max_memory_bytes = 5
            enable_cancel_on_failover = true
            """
        expected.durableQueues = true
        expected.transientQuorumQueue = true
        expected.streamFanout = true
        expected.prefetchCount = 9
        expected.transientQueuesTTL = 60
        expected.quorumMaxMemoryBytes = 5
        expected.cancelOnFailover = true
        #expect(try settings(text).topologyOptions == expected)
    }
}
