package import AMQPModel

/// Names one delivery so that it can be settled later.
///
/// A receipt is good for the channel that brought the delivery only; settling a receipt of an earlier connection does
/// nothing, because the broker has already put that message back into its queue.
package struct DeliveryReceipt: Sendable, Hashable {
    let deliveryTag: UInt64
    let generation: UInt64
}

/// What becomes of a delivery.
package enum Settlement: Sendable, Hashable {
    case acknowledge
    case reject(requeue: Bool)
}

/// A message the broker handed to one of the session's consumers.
package struct Delivery: Sendable {
    package let consumerTag: String
    package let receipt: DeliveryReceipt
    /// The broker has delivered this message before, to us or to somebody else.
    package let redelivered: Bool
    package let exchange: String
    package let routingKey: String
    package let properties: MessageProperties
    /// Empty when the message was larger than the session's limit, see ``discardedBytes``.
    package let body: [UInt8]
    /// 0, or the size of a body that was above ``SessionSettings/maximumMessageBytes`` and was thrown away while it
    /// came in. Such a delivery still has to be settled, usually with `reject(requeue: false)`.
    package let discardedBytes: UInt64
}
