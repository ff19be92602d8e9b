import Support
import Testing

@testable import Configuration

@Suite struct DefaultsTests {
    @Test func defaultsAreValid() {
        #expect(load("").problems == [])
    }

    @Test func messagingDefaultsAreThoseOfOsloMessaging() throws {
        let messaging = try settings().messaging
        #expect(messaging.transportURL.secret == "rabbit://")
        #expect(messaging.controlExchange == "nova")
        #expect(messaging.computeTopic == "compute")
        #expect(messaging.computeAltTopic == "compute-alt")
        #expect(messaging.rpcResponseTimeout == .seconds(60))
        #expect(messaging.transientQueuesTTL == .seconds(1800))
        #expect(messaging.heartbeatSeconds == 60)
        #expect(messaging.directMandatory)
        #expect(messaging.loginMethod == .amqplain)
        #expect(messaging.tls.verifyHostName)
        #expect(!messaging.durableQueues && !messaging.quorumQueue && !messaging.transientQuorumQueue)
    }

    /// oslo.messaging wire, section 14; what differs by intent is not listed.
    @Test(arguments: [
        ("amqp_durable_queues", "false"), ("amqp_auto_delete", "false"), ("rabbit_quorum_queue", "false"),
        ("rabbit_transient_quorum_queue", "false"), ("rabbit_quorum_delivery_limit", "0"),
        ("rabbit_quorum_max_memory_length", "0"), ("rabbit_quorum_max_memory_bytes", "0"),
        ("rabbit_stream_fanout", "false"), ("rabbit_ha_queues", "false"), ("rabbit_transient_queues_ttl", "1800"),
        ("use_queue_manager", "false"), ("enable_cancel_on_failover", "false"), ("rabbit_qos_prefetch_count", "0"),
        ("direct_mandatory_flag", "true"), ("kombu_missing_consumer_retry_timeout", "60"),
        ("heartbeat_timeout_threshold", "60"), ("heartbeat_rate", "3"), ("heartbeat_in_pthread", "false"),
        ("kombu_reconnect_delay", "1.0"), ("kombu_reconnect_splay", "0.0"),
        ("kombu_failover_strategy", "round-robin"), ("rabbit_retry_interval", "1"), ("rabbit_retry_backoff", "2"),
        ("rabbit_interval_max", "30"), ("rabbit_login_method", "AMQPLAIN"), ("rpc_conn_pool_size", "30"),
        ("conn_pool_min_size", "2"), ("conn_pool_ttl", "1200"), ("ssl", "false"),
        ("ssl_enforce_hostname_verification", "true"), ("ssl_enforce_fips_mode", "false"),
    ])
    func rabbitOptionHasOslosDefault(name: String, value: String) throws {
        let definition = try #require(OptionRegistry.standard[OptionName("oslo_messaging_rabbit", name)])
        #expect(definition.defaultText == value)
    }

    @Test(arguments: [
        ("hostname"), ("processname"), ("kombu_compression"), ("ssl_version"), ("ssl_key_file"), ("ssl_cert_file"),
        ("ssl_ca_file"), ("rabbit_quroum_max_memory_length"), ("rabbit_quroum_max_memory_bytes"),
        ("kombu_reconnect_timeout"),
    ])
    func rabbitOptionIsKnown(name: String) {
        #expect(OptionRegistry.standard[OptionName("oslo_messaging_rabbit", name)] != nil)
    }

    @Test func consoleAndHyperVDefaults() throws {
        let settings = try settings()
        #expect(settings.console.segmentBytes == 524_288)
        #expect(settings.console.archives == 1)
        #expect(settings.console.onStop == .keep)
        #expect(settings.console.reconnectInitial == .milliseconds(50))
        #expect(settings.console.reconnectMax == .seconds(2))
        #expect(settings.console.pollInterval == .milliseconds(500))
        #expect(settings.hyperv.waitSoftReboot == .seconds(60))
        #expect(settings.hyperv.volumeAttachRetryCount == 10)
        #expect(settings.hyperv.qemuImgCommand == "qemu-img")
        #expect(settings.compute.shutdownTimeout == .seconds(60))
        #expect(settings.compute.shutdownRetryInterval == .seconds(10))
        #expect(settings.compute.useCowImages)
    }

    @Test func machineNameIsTheHostWhenNoneIsGiven() throws {
        #expect(try settings().hosts.map(\.name) == ["machine"])
        #expect(try settings("host = a").hosts.map(\.name) == ["a"])
        #expect(try settings("host = a\nhosts = b, c").hosts.map(\.name) == ["b", "c"])
        #expect(try settings("hosts = b").hosts[0].directory == "/var/lib/vmops/b")
    }

    @Test func limitsFollowTheirOsloNamesakes() throws {
        #expect(try settings().limits.maxInflight == 64)
        #expect(try settings("executor_thread_pool_size = 7").limits.maxInflight == 7)
        #expect(try settings("executor_thread_pool_size = 7\n[limits]\nmax_inflight = 9").limits.maxInflight == 9)
        #expect(try settings().limits.prefetch == 128)
        #expect(try settings("[oslo_messaging_rabbit]\nrabbit_qos_prefetch_count = 3").limits.prefetch == 3)
    }

    @Test func adminSocketFollowsTheStatePath() throws {
        #expect(try settings("state_path = /tmp/x/").admin.listen == .unix(path: "/tmp/x//admin.sock"))
        #expect(try settings("[admin]\nlisten = 127.0.0.1:0").admin.listen == .tcp(host: "127.0.0.1", port: 0))
        #expect(try settings("[admin]\nlisten = [::1]:80").admin.listen == .tcp(host: "::1", port: 80))
        #expect(try settings("[admin]\nlisten = localhost:80").admin.listen == .tcp(host: "127.0.0.1", port: 80))
    }
}
