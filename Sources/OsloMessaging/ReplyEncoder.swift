package import AMQPModel
import JSONCodec
package import Support

/// Makes the messages a server sends to reply queues (oslo.messaging wire, sections 7 to 9).
///
/// Made for the thread that serves a connection: it keeps a generator for `_unique_id`s, so that a reply costs
/// neither a system call nor an allocation for its id. Copies make the same ids: keep one per place of use.
package struct ReplyEncoder: Sendable {
    /// Whether replies ask for their return when the queue is gone (`direct_mandatory_flag`).
    package var mandatory: Bool
    private var ids: UniqueIDSequence
    /// What to reserve for the next reply: replies of one worker are much alike in size.
    private var room = 512

    private static let mostRoom = 16 << 10

    package init(mandatory: Bool = true) {
        self.mandatory = mandatory
        ids = UniqueIDSequence()
    }

    /// The final reply with a result. A result that has no JSON form becomes a failure: a caller is always answered.
    package mutating func result(_ value: JSONValue, to address: ReplyAddress) -> OutboundMessage {
        var writer = JSONWriter(capacity: room)
        writer.append(#"{"oslo.version": "2.0", "oslo.message": "{\"result\": "#)
        writer.descend(1)
        do {
            try writer.write(value)
        } catch {
            return failure(.valueError("the result has no JSON form: \(error.message)"), to: address)
        }
        writer.append(#", \"failure\": null, \"ending\": true, \"_msg_id\": "#)
        return finish(&writer, address)
    }

    /// The final reply with a failure.
    package mutating func failure(_ failure: RemoteFailure, to address: ReplyAddress) -> OutboundMessage {
        var writer = JSONWriter(capacity: room)
        writer.append(#"{"oslo.version": "2.0", "oslo.message": "{\"result\": null, \"failure\": "#)
        writer.descend(1)
        writer.string { failure.write(to: &$0) }
        writer.append(#", \"ending\": true, \"_msg_id\": "#)
        return finish(&writer, address)
    }

    /// A sign of life for a monitored call. Never to be sent when the request's `_timeout` is null or 0: Python's
    /// client breaks.
    package mutating func heartbeat(to address: ReplyAddress) -> OutboundMessage {
        var writer = JSONWriter(capacity: 320)
        writer.append(#"{"oslo.version": "2.0", "oslo.message": "{\"result\": null, \"failure\": null, "#)
        writer.append(#"\"ending\": false, \"_msg_id\": "#)
        writer.descend(1)
        return finish(&writer, address)
    }

    private mutating func finish(_ writer: inout JSONWriter, _ address: ReplyAddress) -> OutboundMessage {
        writer.next()
        writer.write(address.messageID)
        writer.append(#", \"_unique_id\": \""#)
        ids.appendNext(to: &writer)
        writer.append(#"\"}"}"#)
        room = min(max(writer.count + 64, 512), Self.mostRoom)
        return .reply(writer.bytes, to: address.queue, mandatory: mandatory)
    }
}

/// Version-4 UUIDs as 32 hexadecimal digits, from a generator (SplitMix64) that the system's randomness seeds once.
struct UniqueIDSequence: Sendable {
    private var first: UInt64
    private var second: UInt64

    init() {
        var system = SystemRandomNumberGenerator()
        first = system.next()
        second = system.next()
    }

    /// Writes the next id where text needs no escape.
    mutating func appendNext(to writer: inout JSONWriter) {
        let high = (Self.next(&first) & 0xFFFF_FFFF_FFFF_0FFF) | 0x4000
        let low = (Self.next(&second) & 0x3FFF_FFFF_FFFF_FFFF) | 0x8000_0000_0000_0000
        writer.append(hex: high)
        writer.append(hex: low)
    }

    private static func next(_ state: inout UInt64) -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }
}
