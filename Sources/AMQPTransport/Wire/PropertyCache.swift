import AMQPModel
import CRabbitMQ
import Glibc

/// Turns content headers into values, remembering the last few: a peer's messages nearly all carry the same properties.
struct PropertyCache {
    private static let slots = 8
    private var encoded = [[UInt8]](repeating: [], count: slots)
    private var decoded = [MessageProperties](repeating: MessageProperties(), count: slots)
    private var next = 0
    private var recent = 0

    /// `raw` and `basic` are two forms of the same properties.
    mutating func properties(
        raw: amqp_bytes_t,
        basic: UnsafePointer<amqp_basic_properties_t>
    ) -> MessageProperties {
        let count = raw.len
        guard count <= 512, let start = raw.bytes else { return Self.decode(basic.pointee) }
        let wire = UnsafeRawBufferPointer(start: start, count: count)
        if Self.equal(encoded[recent], wire) { return decoded[recent] }
        for slot in 0..<Self.slots where Self.equal(encoded[slot], wire) {
            recent = slot
            return decoded[slot]
        }
        let properties = Self.decode(basic.pointee)
        encoded[next] = [UInt8](wire)
        decoded[next] = properties
        recent = next
        next = (next + 1) % Self.slots
        return properties
    }

    private static func equal(_ known: [UInt8], _ wire: UnsafeRawBufferPointer) -> Bool {
        known.count == wire.count
            && known.withUnsafeBytes { known in
                guard let left = known.baseAddress, let right = wire.baseAddress else { return known.isEmpty }
                return memcmp(left, right, wire.count) == 0
            }
    }

    private static func decode(_ basic: amqp_basic_properties_t) -> MessageProperties {
        let flags = Int32(truncatingIfNeeded: basic._flags)
        func has(_ flag: Int32) -> Bool { flags & flag != 0 }
        return MessageProperties(
            contentType: has(AMQP_BASIC_CONTENT_TYPE_FLAG) ? WireValue.string(basic.content_type) : nil,
            contentEncoding: has(AMQP_BASIC_CONTENT_ENCODING_FLAG) ? WireValue.string(basic.content_encoding) : nil,
            headers: has(AMQP_BASIC_HEADERS_FLAG) ? WireValue.table(basic.headers) : nil,
            deliveryMode: has(AMQP_BASIC_DELIVERY_MODE_FLAG) ? basic.delivery_mode : nil,
            priority: has(AMQP_BASIC_PRIORITY_FLAG) ? basic.priority : nil,
            expiration: has(AMQP_BASIC_EXPIRATION_FLAG) ? WireValue.string(basic.expiration) : nil
        )
    }
}
