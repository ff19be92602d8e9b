package import AMQPModel

/// One server of a process that serves several (oslo.messaging wire, section 2).
package struct ServerIdentity: Sendable, Hashable {
    package var topic: String
    /// The host name.
    package var server: String
    /// Chosen once, kept over reconnections.
    package var fanoutID: String

    package init(topic: String, server: String, fanoutID: String) {
        self.topic = topic
        self.server = server
        self.fanoutID = fanoutID
    }
}

/// Several servers on one channel: what to declare, and whose a delivery is.
package struct ServerTopology: Sendable {
    /// Which of a server's queues a consumer belongs to.
    package enum Role: Sendable, Hashable {
        case topic, server, fanout
    }

    /// A consumer's owner, found by its tag.
    package struct Consumer: Sendable, Hashable {
        /// Position of the server in the list given.
        package let server: Int
        package let role: Role

        package init(server: Int, role: Role) {
            self.server = server
            self.role = role
        }
    }

    package let steps: [TopologyStep]
    /// By consumer tag.
    package let consumers: [String: Consumer]

    /// Tags count up from 1 over all servers, so one server alone has the tags `1`, `2`, `3` that Python gives.
    ///
    /// What several servers share is declared once.
    package init(servers: [ServerIdentity], exchange: String, options: TopologyOptions) {
        var steps: [TopologyStep] = []
        var declared: Set<TopologyStep> = []
        var consumers: [String: Consumer] = [:]
        for (index, identity) in servers.enumerated() {
            var roles: [Role] = [.fanout, .server, .topic]
            let own = RPCTopology.server(
                topic: identity.topic,
                server: identity.server,
                exchange: exchange,
                fanoutID: identity.fanoutID,
                options: options
            )
            for step in own {
                guard case .consumer(var consumer) = step else {
                    if servers.count == 1 || declared.insert(step).inserted { steps.append(step) }
                    continue
                }
                consumer.tag = String(consumers.count + 1)
                consumers[consumer.tag] = Consumer(server: index, role: roles.popLast() ?? .fanout)
                steps.append(.consumer(consumer))
            }
        }
        self.steps = steps
        self.consumers = consumers
    }
}
