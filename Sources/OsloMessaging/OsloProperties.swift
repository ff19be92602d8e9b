package import AMQPModel

/// Properties of every message (oslo.messaging wire, section 3).
package enum OsloProperties {
    package static let contentType = "application/json"
    package static let contentEncoding = "utf-8"
    /// Persistent, also to transient queues.
    package static let deliveryMode: UInt8 = 2
    package static let priority: UInt8 = 0

    /// What every message but a call carries.
    package static let plain = MessageProperties(
        contentType: contentType,
        contentEncoding: contentEncoding,
        headers: [:],
        deliveryMode: deliveryMode,
        priority: priority
    )

    /// What a call carries: `timeout` in whole milliseconds, the rest cut off.
    package static func call(timeout: Duration) -> MessageProperties {
        var properties = plain
        let (seconds, attoseconds) = timeout.components
        let limit = Int64.max / 1000 - 1
        properties.expiration = String(max(0, min(seconds, limit) * 1000 + attoseconds / 1_000_000_000_000_000))
        return properties
    }
}
