import AMQPModel
import JSONCodec
import OsloMessaging
import Support
import TestSupport
import Testing

/// What we declare against what Python declared in every captured configuration.
@Suite struct TopologyTests {
    struct Configuration: Sendable, CustomTestStringConvertible {
        let value: JSONValue

        var testDescription: String { value["name"]?.stringValue ?? "" }

        /// The declarations of one role on one channel, in order.
        func steps(_ role: String) -> [TopologyStep] {
            (value[role]?.arrayValue ?? []).compactMap(Self.step)
        }

        private static func step(_ method: JSONValue) -> TopologyStep? {
            func text(_ key: String) -> String { method[key]?.stringValue ?? "" }
            func flag(_ key: String) -> Bool { method[key]?.boolValue ?? false }
            let arguments = table(method["arguments"]?.objectValue ?? [:])
            switch text("method") {
            case "exchange.declare":
                return ExchangeDeclaration.Kind(rawValue: text("type")).map {
                    .exchange(
                        ExchangeDeclaration(
                            name: text("exchange"),
                            kind: $0,
                            durable: flag("durable"),
                            autoDelete: flag("auto_delete")
                        )
                    )
                }
            case "queue.declare":
                return .queue(
                    QueueDeclaration(
                        name: text("queue"),
                        durable: flag("durable"),
                        autoDelete: flag("auto_delete"),
                        arguments: arguments
                    )
                )
            case "queue.bind":
                return .binding(
                    BindingDeclaration(
                        queue: text("queue"),
                        exchange: text("exchange"),
                        routingKey: text("routing_key")
                    )
                )
            case "basic.consume":
                return .consumer(
                    ConsumerDeclaration(queue: text("queue"), tag: text("consumer_tag"), arguments: arguments)
                )
            default:
                return nil
            }
        }

        private static func table(_ object: JSONObject) -> FieldTable {
            var table: FieldTable = [:]
            for member in object {
                switch member.value {
                case .int(let value): table[member.key] = .int(value)
                case .bool(let value): table[member.key] = .bool(value)
                case .string(let value): table[member.key] = .string(value)
                default: Issue.record("argument \(member.key)")
                }
            }
            return table
        }

        var options: TopologyOptions {
            var options = TopologyOptions()
            for member in value["options"]?.objectValue ?? [:] {
                let text = member.value.stringValue ?? ""
                switch member.key {
                case "amqp_durable_queues": options.durableQueues = text == "true"
                case "amqp_auto_delete": options.autoDelete = text == "true"
                case "rabbit_quorum_queue": options.quorumQueue = text == "true"
                case "rabbit_transient_quorum_queue": options.transientQuorumQueue = text == "true"
                case "rabbit_quorum_delivery_limit": options.quorumDeliveryLimit = Int(text) ?? -1
                case "rabbit_quorum_max_memory_length": options.quorumMaxMemoryLength = Int(text) ?? -1
                case "rabbit_quorum_max_memory_bytes": options.quorumMaxMemoryBytes = Int(text) ?? -1
                case "rabbit_transient_queues_ttl": options.transientQueuesTTL = Int(text) ?? -1
                case "rabbit_ha_queues": options.haQueues = text == "true"
                case "rabbit_stream_fanout": options.streamFanout = text == "true"
                case "enable_cancel_on_failover": options.cancelOnFailover = text == "true"
                case "rabbit_qos_prefetch_count": options.prefetchCount = Int(text) ?? -1
                case "use_queue_manager", "hostname", "processname": break
                default: Issue.record("unknown option \(member.key)")
                }
            }
            return options
        }
    }

    static let configurations: [Configuration] = {
        do {
            let topology = try JSONReader.read(try OsloVector.file("topology.json"))
            return (topology["configurations"]?.arrayValue ?? []).map { Configuration(value: $0) }
        } catch {
            return []
        }
    }()

    @Test func allConfigurationsAreThere() {
        #expect(Self.configurations.count == 11)
    }

    @Test(arguments: configurations)
    func serverDeclaresWhatPythonDoes(_ configuration: Configuration) throws {
        let expected = configuration.steps("rpc_server_methods")
        let queue = try #require(expected.compactMap(\.queueName).first { $0.hasPrefix("compute_fanout") })
        let identity = ServerIdentity(
            topic: "compute",
            server: "host1",
            fanoutID: String(queue.dropFirst("compute_fanout_".count))
        )
        let options = configuration.options
        #expect(options.problems.isEmpty)
        let steps = RPCTopology.server(
            topic: "compute",
            server: "host1",
            exchange: "openstack",
            fanoutID: identity.fanoutID,
            options: options
        )
        #expect(steps == expected)
        #expect(ServerTopology(servers: [identity], exchange: "openstack", options: options).steps == expected)
        let qos = configuration.value["rpc_server_methods"]?.arrayValue?.first { $0["method"] == "basic.qos" }
        #expect(qos?["prefetch_count"]?.intValue ?? 0 == Int64(options.prefetchCount))
    }

    @Test(arguments: configurations)
    func clientDeclaresWhatPythonDoes(_ configuration: Configuration) throws {
        let expected = configuration.steps("rpc_client_methods")
        let queue = try #require(expected.compactMap(\.queueName).first)
        let options = configuration.options
        let steps =
            RPCTopology.client(replyQueue: queue, options: options)
            + RPCTopology.sender(exchange: "openstack", options: options)
            + RPCTopology.fanoutCaster(topic: "compute", options: options)
        #expect(steps == expected)
    }

    @Test(arguments: configurations)
    func notifierDeclaresWhatPythonDoes(_ configuration: Configuration) {
        let options = configuration.options
        let steps =
            RPCTopology.notifier(exchange: "openstack", topic: "notifications", priority: .info, options: options)
            + RPCTopology.sender(exchange: "openstack", options: options)
        #expect(steps == configuration.steps("notifier_methods"))
    }

    /// Python walks a set there, so either priority may come first.
    @Test(arguments: configurations)
    func notificationListenerDeclaresWhatPythonDoes(_ configuration: Configuration) {
        let expected = configuration.steps("notification_listener_pool_methods")
        let orders: [[Notification.Priority]] = [[.error, .info], [.info, .error]]
        let possible = orders.map {
            RPCTopology.notificationListener(
                exchange: "openstack",
                topics: ["notifications"],
                priorities: $0,
                pool: "audit-pool",
                options: configuration.options
            )
        }
        #expect(possible.contains(expected))
    }

    @Test func aListenerWithoutPoolHasAQueuePerPriority() {
        let steps = RPCTopology.notificationListener(
            exchange: "nova",
            topics: ["notifications"],
            priorities: [.info, .error],
            options: TopologyOptions()
        )
        let queues = ["notifications.info", "notifications.error"]
        #expect(steps.compactMap(\.queueName) == queues)
        #expect(
            steps.suffix(2) == [
                .consumer(ConsumerDeclaration(queue: queues[0], tag: "1")),
                .consumer(ConsumerDeclaration(queue: queues[1], tag: "2")),
            ]
        )
    }

    @Test func aStreamIsReadOnWhereItWasLeft() {
        var options = TopologyOptions()
        options.transientQuorumQueue = true
        options.streamFanout = true
        options.transientQueuesTTL = 0
        #expect(options.problems == ["rabbit_stream_fanout requires rabbit_qos_prefetch_count above 0"])
        options.prefetchCount = 5
        #expect(options.problems.isEmpty)
        let steps = RPCTopology.server(
            topic: "t",
            server: "s",
            exchange: "x",
            fanoutID: "unused",
            options: options,
            streamOffset: 17
        )
        #expect(
            steps.last
                == .consumer(ConsumerDeclaration(queue: "t_fanout", tag: "3", arguments: ["x-stream-offset": .int(17)]))
        )
        #expect(
            steps.contains(
                .queue(
                    QueueDeclaration(name: "t_fanout", durable: true, arguments: ["x-queue-type": .string("stream")])
                )
            )
        )
    }

    @Test func severalServersShareAChannel() throws {
        let servers = [("compute", "a"), ("compute", "b"), ("compute-alt", "a")].enumerated().map {
            ServerIdentity(topic: $1.0, server: $1.1, fanoutID: "id\($0)")
        }
        let topology = ServerTopology(servers: servers, exchange: "nova", options: TopologyOptions())
        let consumers = topology.steps.compactMap { step in
            if case .consumer(let consumer) = step { consumer } else { nil }
        }
        #expect(consumers.map(\.tag) == (1...9).map(String.init))
        #expect(
            consumers.map(\.queue) == [
                "compute", "compute.a", "compute_fanout_id0", "compute", "compute.b", "compute_fanout_id1",
                "compute-alt",
                "compute-alt.a", "compute-alt_fanout_id2",
            ]
        )
        #expect(topology.consumers["5"] == .some(.init(server: 1, role: .server)))
        #expect(topology.consumers["7"] == .some(.init(server: 2, role: .topic)))
        #expect(topology.consumers["9"] == .some(.init(server: 2, role: .fanout)))
        #expect(Set(topology.steps).count == topology.steps.count)
        let own = RPCTopology.server(
            topic: "t",
            server: "s",
            exchange: "x",
            fanoutID: "f",
            consumerTagPrefix: "s.",
            options: TopologyOptions()
        )
        #expect(own.compactMap(\.tag) == ["s.1", "s.2", "s.3"])
    }

    @Test func optionsThatExcludeEachOtherAreNamed() {
        var options = TopologyOptions()
        options.quorumQueue = true
        options.autoDelete = true
        options.haQueues = true
        options.streamFanout = true
        options.quorumDeliveryLimit = -1
        options.prefetchCount = 70_000
        #expect(options.problems.count == 5)
        #expect(options.problems.contains { $0.contains("amqp_auto_delete") })
    }
}

extension TopologyStep {
    fileprivate var queueName: String? {
        if case .queue(let queue) = self { queue.name } else { nil }
    }

    fileprivate var tag: String? {
        if case .consumer(let consumer) = self { consumer.tag } else { nil }
    }
}
