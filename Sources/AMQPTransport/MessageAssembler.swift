import AMQPModel

/// Puts method, header and body frames of one channel together again (AMQP 0-9-1, section 4.2.6).
///
/// Bodies above the limit are counted and thrown away as they come in, so an enormous message costs no memory.
struct MessageAssembler {
    enum Origin {
        case delivery(tag: UInt64, consumerTag: String, redelivered: Bool)
        case returned(code: UInt16, text: String)
    }

    struct Message {
        var origin: Origin
        var exchange: String
        var routingKey: String
        var properties = MessageProperties()
        var bodySize: UInt64 = 0
        var body: [UInt8] = []
        var isDiscarded = false
    }

    enum Violation: Error {
        /// A frame came that does not continue what is under way.
        case unexpectedFrame
    }

    /// Memory for a body is taken at once up to here and grows with what really comes beyond it.
    private static let reservedAtOnce = 1 << 20

    private let maximumBytes: Int
    private var message: Message?
    private var hasHeader = false
    private var received: UInt64 = 0
    /// The body so far; apart from the message so that it is never copied.
    private var body: [UInt8] = []

    init(maximumBytes: Int) { self.maximumBytes = maximumBytes }

    mutating func begin(_ origin: Origin, exchange: String, routingKey: String) throws(Violation) {
        guard message == nil else { throw .unexpectedFrame }
        message = Message(origin: origin, exchange: exchange, routingKey: routingKey)
        hasHeader = false
        received = 0
    }

    /// Returns the message when it has no body.
    mutating func header(bodySize: UInt64, properties: MessageProperties) throws(Violation) -> Message? {
        guard message != nil, !hasHeader else { throw .unexpectedFrame }
        hasHeader = true
        message?.bodySize = bodySize
        message?.properties = properties
        if bodySize > UInt64(maximumBytes) {
            message?.isDiscarded = true
        } else {
            body.reserveCapacity(min(Int(bodySize), Self.reservedAtOnce))
        }
        return bodySize == 0 ? take() : nil
    }

    /// `copy` appends the frame's `count` bytes; it is not called for a message that is being discarded. Returns the
    /// message when it is complete.
    mutating func body(count: Int, copy: (inout [UInt8]) -> Void) throws(Violation) -> Message? {
        guard hasHeader, let size = message?.bodySize, let isDiscarded = message?.isDiscarded else {
            throw .unexpectedFrame
        }
        received += UInt64(count)
        guard received <= size else { throw .unexpectedFrame }
        if !isDiscarded { copy(&body) }
        return received == size ? take() : nil
    }

    /// Forgets what is under way, when its channel is gone.
    mutating func reset() {
        message = nil
        body = []
    }

    private mutating func take() -> Message? {
        guard var complete = message.take() else { return nil }
        swap(&complete.body, &body)
        return complete
    }
}
