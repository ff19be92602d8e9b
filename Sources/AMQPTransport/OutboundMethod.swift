import AMQPModel

/// The methods a session sends besides publishing and settling.
enum OutboundMethod: Sendable, Hashable {
    case channelOpen
    case channelClose
    case channelCloseOk
    case connectionClose
    case connectionCloseOk
    case basicQos(prefetch: UInt16)
    case confirmSelect
    case exchangeDeclare(ExchangeDeclaration, passive: Bool)
    case queueDeclare(QueueDeclaration, passive: Bool)
    case queueBind(BindingDeclaration)
    case queueDelete(String)
    case basicConsume(ConsumerDeclaration)
    case basicCancel(tag: String)
}

/// A frame from the broker, as far as a session cares.
enum InboundFrame: Sendable {
    case deliver(consumerTag: String, deliveryTag: UInt64, redelivered: Bool, exchange: String, routingKey: String)
    case returned(code: UInt16, text: String, exchange: String, routingKey: String)
    case header(bodySize: UInt64, properties: MessageProperties)
    /// The bytes stay in the connection until the next frame is read.
    case body(count: Int)
    case acknowledged(tag: UInt64, multiple: Bool)
    case refused(tag: UInt64, multiple: Bool)
    case channelOpenOk
    case channelClose(code: UInt16, text: String)
    case channelCloseOk
    case qosOk
    case confirmSelectOk
    /// exchange.declare-ok, queue.declare-ok, queue.bind-ok or queue.delete-ok: they come in the order asked.
    case declarationOk
    case consumeOk(tag: String)
    case cancel(tag: String)
    case cancelOk(tag: String)
    case connectionClose(code: UInt16, text: String)
    case connectionCloseOk
    case blocked(reason: String)
    case unblocked
    /// A method that needs no answer from us.
    case ignored
}
