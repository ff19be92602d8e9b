/// The basic properties of a message that oslo.messaging sets or reads (oslo.messaging wire, section 3).
package struct MessageProperties: Sendable, Hashable {
    package var contentType: String?
    package var contentEncoding: String?
    package var headers: FieldTable?
    package var deliveryMode: UInt8?
    package var priority: UInt8?
    /// Milliseconds as decimal digits; on calls only.
    package var expiration: String?

    package init(
        contentType: String? = nil,
        contentEncoding: String? = nil,
        headers: FieldTable? = nil,
        deliveryMode: UInt8? = nil,
        priority: UInt8? = nil,
        expiration: String? = nil
    ) {
        self.contentType = contentType
        self.contentEncoding = contentEncoding
        self.headers = headers
        self.deliveryMode = deliveryMode
        self.priority = priority
        self.expiration = expiration
    }
}

/// A message to be published.
package struct OutboundMessage: Sendable {
    /// Empty for the default exchange.
    package var exchange: String
    package var routingKey: String
    /// Ask the broker to return the message when no queue takes it.
    package var mandatory: Bool
    package var properties: MessageProperties
    package var body: [UInt8]

    package init(
        exchange: String,
        routingKey: String,
        mandatory: Bool,
        properties: MessageProperties,
        body: [UInt8]
    ) {
        self.exchange = exchange
        self.routingKey = routingKey
        self.mandatory = mandatory
        self.properties = properties
        self.body = body
    }
}

/// What became of a published message.
package enum PublishOutcome: Sendable, Hashable {
    /// The broker has taken responsibility for it.
    case confirmed
    /// No queue took a mandatory message (312 NO_ROUTE).
    case returned(code: UInt16, text: String)
    /// The broker refused it, or it could not be sent within its attempts.
    case failed(String)
}
