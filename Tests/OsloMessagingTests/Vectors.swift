import AMQPModel
import TestSupport

extension OsloVector {
    /// The properties and headers as the transport hands them over.
    var messageProperties: MessageProperties {
        MessageProperties(
            contentType: properties.contentType,
            contentEncoding: properties.contentEncoding,
            headers: headers?.mapValues { .string($0) },
            deliveryMode: properties.deliveryMode.map { UInt8(clamping: $0) },
            priority: properties.priority.map { UInt8(clamping: $0) },
            expiration: properties.expiration
        )
    }

    static func named(_ prefix: String) -> [OsloVector] {
        do {
            return try all(prefix: prefix)
        } catch {
            return []
        }
    }
}

extension String {
    init(utf8 bytes: [UInt8]) { self.init(decoding: bytes, as: UTF8.self) }
}
