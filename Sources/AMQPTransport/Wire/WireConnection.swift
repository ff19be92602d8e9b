import CRabbitMQ
import Glibc

/// One logged-in connection of the library, read and written without ever waiting.
///
/// Made by ``WireConnector`` on a helper thread and handed over once to the I/O thread, the only one that uses it
/// afterwards: that hand-over is why this class may be `Sendable` although the library is not thread-safe. After login
/// the library never sends by itself (its heartbeats are switched off) and never waits. On plain TCP it does not touch
/// the socket any more: what one `recv` brings is given to its decoder, and our own buffer is written with `send`.
/// Over TLS only the library can read and write; see ``write(_:)``.
final class WireConnection: @unchecked Sendable {
    /// As much as a wake-up takes in one go.
    private static let inputCapacity = 64 << 10

    private let state: amqp_connection_state_t
    /// The connection's socket, for `poll` alone.
    let descriptor: Int32
    /// The interval agreed on, in seconds; 0 = none.
    let heartbeatSeconds: Int
    let frameMaximum: Int
    /// The highest channel number agreed on.
    let channelMaximum: UInt16
    private let encrypted: Bool
    private var strings = StringCache()
    private var properties = PropertyCache()
    private var frame = amqp_frame_t()
    /// Bytes of frames read since the library's memory was recycled.
    private var unreleased = 0
    private let input: InputBuffer
    /// What the library read beyond the login is still in its own buffer.
    private var hasLibraryInput = true
    /// Channel of the frame read last.
    private(set) var channel: UInt16 = 0

    /// Takes ownership of `state`, which must be logged in.
    init(state: amqp_connection_state_t, encrypted: Bool, heartbeatSeconds: Int) {
        self.state = state
        self.encrypted = encrypted
        self.heartbeatSeconds = heartbeatSeconds
        descriptor = amqp_get_sockfd(state)
        frameMaximum = max(4096, Int(amqp_get_frame_max(state)))
        let channels = amqp_get_channel_max(state)
        channelMaximum = channels == 0 ? .max : UInt16(clamping: channels)
        input = InputBuffer(capacity: encrypted ? 0 : Self.inputCapacity)
    }

    deinit { amqp_destroy_connection(state) }

    // MARK: - Reading

    /// Whether ``read()`` has something to work on without asking the socket.
    ///
    /// Over TLS that is not known from outside, so there reading goes on until nothing comes.
    var hasBufferedInput: Bool { encrypted || !input.isEmpty || hasLibraryInput }

    /// The next frame, or `nil` when none is complete yet. Heartbeats are swallowed.
    func read() throws(TransportError) -> InboundFrame? {
        if unreleased > 64 << 10 { release() }
        guard try encrypted || hasLibraryInput ? nextFromLibrary() : nextFromInput() else { return nil }
        channel = frame.channel
        switch Int32(frame.frame_type) {
        case AMQP_FRAME_METHOD:
            unreleased += 256
            return method(frame.payload.method)
        case AMQP_FRAME_HEADER:
            unreleased += 512
            let header = frame.payload.properties
            guard header.class_id == UInt16(AMQP_BASIC_CLASS), let decoded = header.decoded else { return .ignored }
            let basic = UnsafePointer(decoded.assumingMemoryBound(to: amqp_basic_properties_t.self))
            return .header(
                bodySize: header.body_size,
                properties: properties.properties(raw: header.raw, basic: basic)
            )
        case AMQP_FRAME_BODY:
            unreleased += frame.payload.body_fragment.len
            return .body(count: frame.payload.body_fragment.len)
        default:
            return .ignored
        }
    }

    /// Lets the library read; `false` when no frame is complete.
    private func nextFromLibrary() throws(TransportError) -> Bool {
        // Asked before, because afterwards nothing tells whether the socket had to be asked.
        hasLibraryInput = amqp_data_in_buffer(state) != 0 || amqp_frames_enqueued(state) != 0
        guard encrypted || hasLibraryInput else { return try nextFromInput() }
        var timeout = timeval(tv_sec: 0, tv_usec: 0)
        let status = amqp_simple_wait_frame_noblock(state, &frame, &timeout)
        if status == AMQP_STATUS_OK.rawValue { return true }
        if status == AMQP_STATUS_TIMEOUT.rawValue { return false }
        throw TransportError(.connectionLost, Self.text(status))
    }

    /// Decodes the next frame from our buffer, filling it once when it is empty; `false` when no frame is complete.
    private func nextFromInput() throws(TransportError) -> Bool {
        var mayFill = true
        while true {
            while !input.isEmpty {
                let bytes = input.readable
                frame.frame_type = 0
                // The library's structures are not const; its decoder only copies from here.
                let start = UnsafeMutableRawPointer(mutating: bytes.baseAddress)
                let used = amqp_handle_input(state, amqp_bytes_t(len: bytes.count, bytes: start), &frame)
                guard used > 0 else { throw TransportError(.connectionLost, Self.text(Int32(used))) }
                input.consume(Int(used))
                if frame.frame_type != 0, Int32(frame.frame_type) != AMQP_FRAME_HEARTBEAT { return true }
            }
            guard mayFill else { return false }
            mayFill = false
            guard try input.fill(from: descriptor) else { return false }
        }
    }

    /// Appends the body frame read last.
    func appendBody(to body: inout [UInt8]) {
        guard Int32(frame.frame_type) == AMQP_FRAME_BODY, let start = frame.payload.body_fragment.bytes else { return }
        body.append(contentsOf: UnsafeRawBufferPointer(start: start, count: frame.payload.body_fragment.len))
    }

    /// Gives the memory of frames read so far back to the library's pools; safe between frames only, which the
    /// library checks itself.
    func release() {
        amqp_maybe_release_buffers(state)
        unreleased = 0
    }

    private func method(_ method: amqp_method_t) -> InboundFrame {
        guard let decoded = method.decoded else { return .ignored }
        switch method.id {
        case AMQP_BASIC_DELIVER_METHOD:
            let deliver = decoded.assumingMemoryBound(to: amqp_basic_deliver_t.self).pointee
            return .deliver(
                consumerTag: strings.string(deliver.consumer_tag),
                deliveryTag: deliver.delivery_tag,
                redelivered: deliver.redelivered != 0,
                exchange: strings.string(deliver.exchange),
                routingKey: strings.string(deliver.routing_key)
            )
        case AMQP_BASIC_ACK_METHOD:
            let ack = decoded.assumingMemoryBound(to: amqp_basic_ack_t.self).pointee
            return .acknowledged(tag: ack.delivery_tag, multiple: ack.multiple != 0)
        case AMQP_BASIC_NACK_METHOD:
            let nack = decoded.assumingMemoryBound(to: amqp_basic_nack_t.self).pointee
            return .refused(tag: nack.delivery_tag, multiple: nack.multiple != 0)
        default:
            return rareMethod(method.id, decoded)
        }
    }

    private func rareMethod(_ id: amqp_method_number_t, _ decoded: UnsafeMutableRawPointer) -> InboundFrame {
        switch id {
        case AMQP_BASIC_RETURN_METHOD:
            let method = decoded.assumingMemoryBound(to: amqp_basic_return_t.self).pointee
            return .returned(
                code: method.reply_code,
                text: WireValue.string(method.reply_text),
                exchange: strings.string(method.exchange),
                routingKey: strings.string(method.routing_key)
            )
        case AMQP_EXCHANGE_DECLARE_OK_METHOD, AMQP_QUEUE_DECLARE_OK_METHOD, AMQP_QUEUE_BIND_OK_METHOD,
            AMQP_QUEUE_DELETE_OK_METHOD:
            return .declarationOk
        case AMQP_BASIC_CONSUME_OK_METHOD:
            let method = decoded.assumingMemoryBound(to: amqp_basic_consume_ok_t.self).pointee
            return .consumeOk(tag: WireValue.string(method.consumer_tag))
        case AMQP_BASIC_CANCEL_METHOD:
            let method = decoded.assumingMemoryBound(to: amqp_basic_cancel_t.self).pointee
            return .cancel(tag: WireValue.string(method.consumer_tag))
        case AMQP_BASIC_CANCEL_OK_METHOD:
            let method = decoded.assumingMemoryBound(to: amqp_basic_cancel_ok_t.self).pointee
            return .cancelOk(tag: WireValue.string(method.consumer_tag))
        case AMQP_BASIC_QOS_OK_METHOD: return .qosOk
        case AMQP_CONFIRM_SELECT_OK_METHOD: return .confirmSelectOk
        case AMQP_CHANNEL_OPEN_OK_METHOD: return .channelOpenOk
        case AMQP_CHANNEL_CLOSE_OK_METHOD: return .channelCloseOk
        case AMQP_CHANNEL_CLOSE_METHOD:
            let method = decoded.assumingMemoryBound(to: amqp_channel_close_t.self).pointee
            return .channelClose(code: method.reply_code, text: WireValue.string(method.reply_text))
        case AMQP_CONNECTION_CLOSE_METHOD:
            let method = decoded.assumingMemoryBound(to: amqp_connection_close_t.self).pointee
            return .connectionClose(code: method.reply_code, text: WireValue.string(method.reply_text))
        case AMQP_CONNECTION_CLOSE_OK_METHOD: return .connectionCloseOk
        case AMQP_CONNECTION_BLOCKED_METHOD:
            let method = decoded.assumingMemoryBound(to: amqp_connection_blocked_t.self).pointee
            return .blocked(reason: WireValue.string(method.reason))
        case AMQP_CONNECTION_UNBLOCKED_METHOD: return .unblocked
        default: return .ignored
        }
    }

    // MARK: - Writing

    /// How to go on when not everything could be written.
    enum WriteResult {
        case done, whenWritable, soon
    }

    /// Writes as much as the socket takes now and removes it from `buffer`.
    func write(_ buffer: OutputBuffer) throws(TransportError) -> WriteResult {
        if encrypted { return try writeEncrypted(buffer) }
        while !buffer.isEmpty {
            let bytes = buffer.readable
            let written = send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
            if written > 0 {
                buffer.consume(written)
                if written < bytes.count { return .whenWritable }
            } else if errno == EAGAIN || errno == EWOULDBLOCK {
                return .whenWritable
            } else if errno != EINTR {
                throw TransportError(.connectionLost, "cannot write: \(SystemCall.text(errno))")
            }
        }
        return .done
    }

    /// Over TLS the library has to write, frame by frame, and it waits in `poll` when the socket is full. So a frame
    /// is handed over only while the socket's send queue is far from full: what was accepted then fits for certain.
    /// `poll` cannot say when that is the case, so the answer is to try again soon.
    private func writeEncrypted(_ buffer: OutputBuffer) throws(TransportError) -> WriteResult {
        while !buffer.isEmpty {
            guard SocketOptions.hasRoom(descriptor, for: frameMaximum) else { return .soon }
            let bytes = buffer.readable
            let size = Int(bytes.loadUnaligned(fromByteOffset: 3, as: UInt32.self).bigEndian)
            let status = sendFrame(bytes, size: size)
            guard status == AMQP_STATUS_OK.rawValue else {
                throw TransportError(.connectionLost, "cannot write: \(Self.text(status))")
            }
            buffer.consume(size + OutputBuffer.frameOverhead)
        }
        return .done
    }

    private func sendFrame(_ bytes: UnsafeRawBufferPointer, size: Int) -> Int32 {
        var frame = amqp_frame_t()
        frame.frame_type = bytes[0]
        frame.channel = bytes.loadUnaligned(fromByteOffset: 1, as: UInt16.self).bigEndian
        // The library's structures are not const; neither the decoders nor amqp_send_frame write through them.
        let payload = UnsafeMutableRawPointer(mutating: bytes.baseAddress.map { $0 + 7 })
        var pool = amqp_pool_t()
        init_amqp_pool(&pool, 4096)
        defer { empty_amqp_pool(&pool) }
        var status: Int32 = 0
        switch Int32(frame.frame_type) {
        case AMQP_FRAME_METHOD:
            let id = bytes.loadUnaligned(fromByteOffset: 7, as: UInt32.self).bigEndian
            frame.payload.method.id = id
            let encoded = amqp_bytes_t(len: size - 4, bytes: payload.map { $0 + 4 })
            status = amqp_decode_method(id, &pool, encoded, &frame.payload.method.decoded)
        case AMQP_FRAME_HEADER:
            frame.payload.properties.class_id = UInt16(AMQP_BASIC_CLASS)
            frame.payload.properties.body_size = bytes.loadUnaligned(fromByteOffset: 11, as: UInt64.self).bigEndian
            let encoded = amqp_bytes_t(len: size - 12, bytes: payload.map { $0 + 12 })
            status = amqp_decode_properties(
                UInt16(AMQP_BASIC_CLASS),
                &pool,
                encoded,
                &frame.payload.properties.decoded
            )
        case AMQP_FRAME_BODY:
            frame.payload.body_fragment = amqp_bytes_t(len: size, bytes: payload)
        default:
            break
        }
        return status < 0 ? status : amqp_send_frame(state, &frame)
    }

    /// The library's words for one of its status codes.
    static func text(_ status: Int32) -> String {
        guard let text = amqp_error_string2(status) else { return "status \(status)" }
        return String(cString: text)
    }
}
