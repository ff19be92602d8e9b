import AMQPModel
import CRabbitMQ
import Glibc

/// Encoding of frames (AMQP 0-9-1, section 2.3.5: type, channel, size, payload, end octet 0xCE).
///
/// Payloads come from the library's encoders, except for the three that every message needs, whose layout is fixed.
extension OutputBuffer {
    static let frameOverhead = 8
    private static let frameEnd: UInt8 = 0xCE

    private func frame(_ type: Int32, channel: UInt16, room: Int, _ payload: (UnsafeMutableRawPointer) -> Int) {
        let frame = reserve(room + Self.frameOverhead)
        let size = payload(frame + 7)
        frame.storeBytes(of: UInt8(truncatingIfNeeded: type), as: UInt8.self)
        frame.storeBytes(of: channel.bigEndian, toByteOffset: 1, as: UInt16.self)
        frame.storeBytes(of: UInt32(size).bigEndian, toByteOffset: 3, as: UInt32.self)
        frame.storeBytes(of: Self.frameEnd, toByteOffset: 7 + size, as: UInt8.self)
        advance(by: size + Self.frameOverhead)
    }

    func appendHeartbeat() {
        frame(AMQP_FRAME_HEARTBEAT, channel: 0, room: 0) { _ in 0 }
    }

    /// Settles one delivery, or with `multiple` all up to it.
    func appendAcknowledge(channel: UInt16, tag: UInt64, multiple: Bool) {
        frame(AMQP_FRAME_METHOD, channel: channel, room: 13) { payload in
            payload.storeBytes(of: (AMQP_BASIC_ACK_METHOD as UInt32).bigEndian, as: UInt32.self)
            payload.storeBytes(of: tag.bigEndian, toByteOffset: 4, as: UInt64.self)
            payload.storeBytes(of: multiple ? 1 : 0, toByteOffset: 12, as: UInt8.self)
            return 13
        }
    }

    func appendReject(channel: UInt16, tag: UInt64, requeue: Bool) {
        frame(AMQP_FRAME_METHOD, channel: channel, room: 13) { payload in
            payload.storeBytes(of: (AMQP_BASIC_REJECT_METHOD as UInt32).bigEndian, as: UInt32.self)
            payload.storeBytes(of: tag.bigEndian, toByteOffset: 4, as: UInt64.self)
            payload.storeBytes(of: requeue ? 1 : 0, toByteOffset: 12, as: UInt8.self)
            return 13
        }
    }

    /// `basic.publish`; names must not be longer than 255 bytes.
    func appendPublish(channel: UInt16, exchange: String, routingKey: String, mandatory: Bool) {
        frame(AMQP_FRAME_METHOD, channel: channel, room: 4 + 2 + 256 + 256 + 1) { payload in
            payload.storeBytes(of: (AMQP_BASIC_PUBLISH_METHOD as UInt32).bigEndian, as: UInt32.self)
            payload.storeBytes(of: 0, toByteOffset: 4, as: UInt16.self)
            var size = 6
            size += Self.store(shortString: exchange, at: payload + size)
            size += Self.store(shortString: routingKey, at: payload + size)
            payload.storeBytes(of: mandatory ? 1 : 0, toByteOffset: size, as: UInt8.self)
            return size + 1
        }
    }

    private static func store(shortString text: String, at target: UnsafeMutableRawPointer) -> Int {
        var text = text
        return text.withUTF8 { utf8 in
            let count = min(utf8.count, 255)
            target.storeBytes(of: UInt8(count), as: UInt8.self)
            if let source = utf8.baseAddress { (target + 1).copyMemory(from: source, byteCount: count) }
            return count + 1
        }
    }

    /// The content header; `properties` as ``PropertyEncoder`` made them.
    func appendHeader(channel: UInt16, bodySize: Int, properties: [UInt8]) {
        frame(AMQP_FRAME_HEADER, channel: channel, room: 12 + properties.count) { payload in
            payload.storeBytes(of: UInt16(AMQP_BASIC_CLASS).bigEndian, as: UInt16.self)
            payload.storeBytes(of: 0, toByteOffset: 2, as: UInt16.self)
            payload.storeBytes(of: UInt64(bodySize).bigEndian, toByteOffset: 4, as: UInt64.self)
            properties.withUnsafeBytes {
                (payload + 12).copyMemory(from: $0.baseAddress ?? .init(payload), byteCount: $0.count)
            }
            return 12 + properties.count
        }
    }

    /// One body frame with the bytes of `body` in `range`.
    func appendBody(channel: UInt16, _ body: [UInt8], _ range: Range<Int>) {
        frame(AMQP_FRAME_BODY, channel: channel, room: range.count) { payload in
            body.withUnsafeBytes { bytes in
                if let source = bytes.baseAddress {
                    payload.copyMemory(from: source + range.lowerBound, byteCount: range.count)
                }
            }
            return range.count
        }
    }

    /// Any other method. `false` when it does not fit a frame, which the lengths of names and arguments decide.
    @discardableResult
    func append(_ method: OutboundMethod, channel: UInt16, arena: inout WireArena, frameMaximum: Int) -> Bool {
        defer { arena.recycle() }
        let room = frameMaximum - Self.frameOverhead
        var fits = true
        method.withEncodable(arena: &arena) { id, decoded in
            let mark = count
            frame(AMQP_FRAME_METHOD, channel: channel, room: room) { payload in
                payload.storeBytes(of: id.bigEndian, as: UInt32.self)
                let target = amqp_bytes_t(len: room - 4, bytes: payload + 4)
                let size = amqp_encode_method(id, decoded, target)
                fits = size >= 0
                return 4 + max(0, Int(size))
            }
            if !fits { truncate(to: mark) }
        }
        return fits
    }
}

extension OutboundMethod {
    /// Calls `body` with the method's number and the library's structure for it.
    fileprivate func withEncodable(arena: inout WireArena, _ body: (UInt32, UnsafeMutableRawPointer) -> Void) {
        switch self {
        case .channelOpen:
            var method = amqp_channel_open_t(out_of_band: amqp_empty_bytes)
            body(AMQP_CHANNEL_OPEN_METHOD, &method)
        case .channelClose:
            var method = amqp_channel_close_t()
            method.reply_code = UInt16(AMQP_REPLY_SUCCESS)
            method.reply_text = arena.bytes("bye")
            body(AMQP_CHANNEL_CLOSE_METHOD, &method)
        case .channelCloseOk:
            var method = amqp_channel_close_ok_t()
            body(AMQP_CHANNEL_CLOSE_OK_METHOD, &method)
        case .connectionClose:
            var method = amqp_connection_close_t()
            method.reply_code = UInt16(AMQP_REPLY_SUCCESS)
            method.reply_text = arena.bytes("bye")
            body(AMQP_CONNECTION_CLOSE_METHOD, &method)
        case .connectionCloseOk:
            var method = amqp_connection_close_ok_t()
            body(AMQP_CONNECTION_CLOSE_OK_METHOD, &method)
        case .basicQos(let prefetch):
            var method = amqp_basic_qos_t(prefetch_size: 0, prefetch_count: prefetch, global: 0)
            body(AMQP_BASIC_QOS_METHOD, &method)
        case .confirmSelect:
            var method = amqp_confirm_select_t(nowait: 0)
            body(AMQP_CONFIRM_SELECT_METHOD, &method)
        case .exchangeDeclare(let exchange, let passive):
            var method = amqp_exchange_declare_t()
            method.exchange = arena.bytes(exchange.name)
            method.type = arena.bytes(exchange.kind.rawValue)
            method.passive = passive ? 1 : 0
            method.durable = exchange.durable ? 1 : 0
            method.auto_delete = exchange.autoDelete ? 1 : 0
            body(AMQP_EXCHANGE_DECLARE_METHOD, &method)
        case .queueDeclare(let queue, let passive):
            var method = amqp_queue_declare_t()
            method.queue = arena.bytes(queue.name)
            method.passive = passive ? 1 : 0
            method.durable = queue.durable ? 1 : 0
            method.auto_delete = queue.autoDelete ? 1 : 0
            method.arguments = arena.table(queue.arguments)
            body(AMQP_QUEUE_DECLARE_METHOD, &method)
        case .queueBind(let binding):
            var method = amqp_queue_bind_t()
            method.queue = arena.bytes(binding.queue)
            method.exchange = arena.bytes(binding.exchange)
            method.routing_key = arena.bytes(binding.routingKey)
            body(AMQP_QUEUE_BIND_METHOD, &method)
        case .queueDelete(let queue):
            var method = amqp_queue_delete_t()
            method.queue = arena.bytes(queue)
            body(AMQP_QUEUE_DELETE_METHOD, &method)
        case .basicConsume(let consumer):
            var method = amqp_basic_consume_t()
            method.queue = arena.bytes(consumer.queue)
            method.consumer_tag = arena.bytes(consumer.tag)
            method.arguments = arena.table(consumer.arguments)
            body(AMQP_BASIC_CONSUME_METHOD, &method)
        case .basicCancel(let tag):
            var method = amqp_basic_cancel_t()
            method.consumer_tag = arena.bytes(tag)
            body(AMQP_BASIC_CANCEL_METHOD, &method)
        }
    }
}
