import AMQPModel
import CRabbitMQ

/// Encodes the properties of outgoing messages, remembering the last ones: a peer's messages nearly all carry the same.
struct PropertyEncoder: ~Copyable {
    private var arena = WireArena()
    private var last = MessageProperties()
    private var encoded: [UInt8] = [0, 0]

    init() {}

    /// Flags and values as they stand in a content header, or `nil` when they exceed `limit` bytes.
    mutating func encode(_ properties: MessageProperties, limit: Int) -> [UInt8]? {
        if properties == last { return encoded }
        defer { arena.recycle() }
        var basic = amqp_basic_properties_t()
        var flags: Int32 = 0
        if let value = properties.contentType {
            flags |= AMQP_BASIC_CONTENT_TYPE_FLAG
            basic.content_type = arena.bytes(value)
        }
        if let value = properties.contentEncoding {
            flags |= AMQP_BASIC_CONTENT_ENCODING_FLAG
            basic.content_encoding = arena.bytes(value)
        }
        if let value = properties.headers {
            flags |= AMQP_BASIC_HEADERS_FLAG
            basic.headers = arena.table(value)
        }
        if let value = properties.deliveryMode {
            flags |= AMQP_BASIC_DELIVERY_MODE_FLAG
            basic.delivery_mode = value
        }
        if let value = properties.priority {
            flags |= AMQP_BASIC_PRIORITY_FLAG
            basic.priority = value
        }
        if let value = properties.expiration {
            flags |= AMQP_BASIC_EXPIRATION_FLAG
            basic.expiration = arena.bytes(value)
        }
        basic._flags = amqp_flags_t(flags)
        guard let bytes = Self.bytes(of: &basic, limit: min(limit, 2048)) ?? Self.bytes(of: &basic, limit: limit)
        else { return nil }
        last = properties
        encoded = bytes
        return encoded
    }

    private static func bytes(of basic: inout amqp_basic_properties_t, limit: Int) -> [UInt8]? {
        withUnsafeTemporaryAllocation(byteCount: limit, alignment: 8) { buffer in
            let target = amqp_bytes_t(len: limit, bytes: buffer.baseAddress)
            let size = amqp_encode_properties(UInt16(AMQP_BASIC_CLASS), &basic, target)
            return size < 0 ? nil : [UInt8](buffer[..<Int(size)])
        }
    }
}
