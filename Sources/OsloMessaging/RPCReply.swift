package import AMQPModel
package import JSONCodec
package import Support

/// One message on a reply queue (oslo.messaging wire, section 7).
package struct RPCReply: Sendable, Hashable {
    /// The `_msg_id` of the request.
    package var messageID: String
    /// The method's result; `nil` when the message carries none.
    package var result: JSONValue?
    package var failure: RemoteFailure?
    /// Whether this is the call's last message. One that is not and carries nothing is a heartbeat.
    package var ending: Bool
    package var uniqueID: String?

    package init(
        messageID: String,
        result: JSONValue?,
        failure: RemoteFailure? = nil,
        ending: Bool = true,
        uniqueID: String?
    ) {
        self.messageID = messageID
        self.result = result
        self.failure = failure
        self.ending = ending
        self.uniqueID = uniqueID
    }

    /// Whether the message says only that the call is still being worked on.
    package var isHeartbeat: Bool { !ending && failure == nil && (result?.isNull ?? true) }

    /// The message's body, byte for byte what Python writes for the same values.
    ///
    /// - Throws: when the result holds a number without a JSON form or is nested too deeply.
    package func encode() throws(JSONError) -> [UInt8] {
        var writer = JSONWriter(capacity: 512)
        try writer.envelope { writer throws(JSONError) in
            try writer.member("result", result ?? .null)
            writer.key("failure")
            if let failure {
                writer.string { failure.write(to: &$0) }
            } else {
                writer.writeNull()
            }
            writer.key("ending")
            writer.write(ending)
            writer.member("_msg_id", string: messageID)
            if let uniqueID { writer.member("_unique_id", string: uniqueID) }
        }
        return writer.bytes
    }

    /// Reads a message from a reply queue, as tolerant as Python's client and more: an absent `failure` is none.
    ///
    /// - Throws: for what is no reply at all; there is then no call it could belong to.
    package init(
        body: [UInt8],
        properties: MessageProperties,
        limits: JSONLimits = JSONLimits()
    ) throws(MessageRejection) {
        let object = try MessageReader(limits: limits).object(body, properties)
        guard let messageID = object["_msg_id"]?.stringValue else {
            throw MessageRejection(.invalidReply, "no _msg_id", body: body)
        }
        self.messageID = messageID
        result = object["result"]
        failure =
            switch object["failure"] {
            case nil: nil
            case let value? where !value.isTrue: nil
            case let value?: RemoteFailure(wire: value, limits: limits)
            }
        ending = object["ending"]?.isTrue ?? false
        uniqueID = object["_unique_id"]?.stringValue
    }
}

/// Puts the messages of one call together: one, or the old form of two of which the first has the result
/// (oslo.messaging wire, section 7).
package struct ReplyAssembly: Sendable {
    private var latest: Result<JSONValue, RemoteFailure>?

    package init() {}

    /// Takes the call's next message.
    ///
    /// - Returns: the call's outcome once its last message is there, else `nil`.
    package mutating func take(_ reply: RPCReply) -> Result<JSONValue, RemoteFailure>? {
        if let failure = reply.failure {
            latest = .failure(failure)
        } else if let result = reply.result, !result.isNull {
            latest = .success(result)
        }
        return reply.ending ? latest ?? .success(.null) : nil
    }
}

extension MessageReader {
    /// The inner message as an object; an empty body is an empty one.
    func object(_ body: [UInt8], _ properties: MessageProperties) throws(MessageRejection) -> JSONObject {
        switch try content(of: body, properties) {
        case .empty:
            return [:]
        case .object(let object):
            return object
        case .document(let inner):
            let value: JSONValue
            do {
                value = try JSONReader.read(inner, limits: limits)
            } catch {
                throw MessageRejection(error, body: body)
            }
            guard case .object(let object) = value else {
                throw MessageRejection(.notAnObject, "the inner message is \(value.typeName)", body: body)
            }
            return object
        }
    }
}

extension JSONValue {
    /// Python's truth of the value.
    var isTrue: Bool {
        switch self {
        case .null: false
        case .bool(let value): value
        case .int(let value): value != 0
        case .bigInteger: true
        case .double(let value): value != 0
        case .string(let value): !value.isEmpty
        case .array(let value): !value.isEmpty
        case .object(let value): !value.isEmpty
        }
    }
}
