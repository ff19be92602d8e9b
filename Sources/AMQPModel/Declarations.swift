package struct ExchangeDeclaration: Sendable, Hashable {
    package enum Kind: String, Sendable {
        case topic, fanout, direct
    }

    package var name: String
    package var kind: Kind
    package var durable: Bool
    package var autoDelete: Bool

    package init(name: String, kind: Kind, durable: Bool = false, autoDelete: Bool = false) {
        self.name = name
        self.kind = kind
        self.durable = durable
        self.autoDelete = autoDelete
    }
}

package struct QueueDeclaration: Sendable, Hashable {
    package var name: String
    package var durable: Bool
    package var autoDelete: Bool
    package var arguments: FieldTable

    package init(name: String, durable: Bool = false, autoDelete: Bool = false, arguments: FieldTable = [:]) {
        self.name = name
        self.durable = durable
        self.autoDelete = autoDelete
        self.arguments = arguments
    }
}

package struct BindingDeclaration: Sendable, Hashable {
    package var queue: String
    package var exchange: String
    package var routingKey: String

    package init(queue: String, exchange: String, routingKey: String) {
        self.queue = queue
        self.exchange = exchange
        self.routingKey = routingKey
    }
}

package struct ConsumerDeclaration: Sendable, Hashable {
    package var queue: String
    package var tag: String
    package var arguments: FieldTable

    package init(queue: String, tag: String, arguments: FieldTable = [:]) {
        self.queue = queue
        self.tag = tag
        self.arguments = arguments
    }
}

/// One step of setting up a channel. A topology is a list of steps: their order is what peers see on the wire.
package enum TopologyStep: Sendable, Hashable {
    case exchange(ExchangeDeclaration)
    case queue(QueueDeclaration)
    case binding(BindingDeclaration)
    case consumer(ConsumerDeclaration)
}
