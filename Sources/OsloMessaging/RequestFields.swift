package import Support

/// The members of a request as they come in, before anything is known to be right.
struct RequestFields {
    private var method: JSONValue?
    private var args: JSONValue?
    private var namespace: JSONValue?
    private var version: JSONValue?
    private var messageID: JSONValue?
    private var replyQueue: JSONValue?
    private var timeout: JSONValue?
    private var uniqueID: JSONValue?
    private var context = JSONObject(minimumCapacity: 16)

    /// Takes one member; unknown ones are ignored, of repeated ones the last counts.
    mutating func take(_ key: Span<UInt8>, _ value: consuming JSONValue) {
        if key.starts(with: "_context_") {
            context.set(key.extracting(9..<key.count).text, value)
        } else if key.equals("method") {
            method = value
        } else if key.equals("args") {
            args = value
        } else if key.equals("namespace") {
            namespace = value
        } else if key.equals("version") {
            version = value
        } else if key.equals("_msg_id") {
            messageID = value
        } else if key.equals("_reply_q") {
            replyQueue = value
        } else if key.equals("_timeout") {
            timeout = value
        } else if key.equals("_unique_id") {
            uniqueID = value
        }
    }

    /// The request, or what to do with one that is none.
    consuming func message(_ body: [UInt8]) -> DecodedMessage {
        do {
            return .request(try request())
        } catch {
            guard let address else {
                return .rejected(MessageRejection(.invalidRequest, error.className, body: body))
            }
            return .answerable(
                AnswerableRequest(
                    reply: address,
                    failure: error,
                    method: method?.stringValue,
                    requestID: context["request_id"]?.stringValue,
                    uniqueID: uniqueID?.stringValue
                )
            )
        }
    }

    /// A call has an id and a queue; an id alone makes a cast.
    private var address: ReplyAddress? {
        guard case .string(let id)? = messageID, case .string(let queue)? = replyQueue, !id.isEmpty, !queue.isEmpty
        else { return nil }
        return ReplyAddress(messageID: id, queue: queue)
    }

    private func request() throws(RemoteFailure) -> RPCRequest {
        let version = try versionText()
        let namespace = try namespaceText(version)
        guard case .string(let method)? = method else {
            throw .typeError("attribute name must be string, not '\((method ?? .null).pythonType)'")
        }
        return RPCRequest(
            method: method,
            args: try arguments(),
            namespace: namespace,
            version: version,
            reply: address,
            timeoutValue: timeout ?? .null,
            uniqueID: uniqueID?.stringValue,
            context: context
        )
    }

    private func versionText() throws(RemoteFailure) -> String? {
        switch version {
        case nil: return nil
        case .string(let text)?: return text
        case .null?: throw .unsupportedVersion(nil, method: method?.stringValue)
        case let value?: throw .attributeError("'\(value.pythonType)' object has no attribute 'split'")
        }
    }

    private func namespaceText(_ version: String?) throws(RemoteFailure) -> String? {
        switch namespace {
        case nil, .null?: return nil
        case .string(let text)?: return text
        default: throw .unsupportedVersion(version ?? "1.0", method: method?.stringValue)
        }
    }

    private func arguments() throws(RemoteFailure) -> JSONObject {
        switch args {
        case nil: return [:]
        case .object(let object)?: return object
        case let value?: throw .attributeError("'\(value.pythonType)' object has no attribute 'items'")
        }
    }
}

extension JSONValue {
    /// The Python type that the value becomes there, for error messages.
    package var pythonType: String {
        switch self {
        case .null: "NoneType"
        case .bool: "bool"
        case .int, .bigInteger: "int"
        case .double: "float"
        case .string: "str"
        case .array: "list"
        case .object: "dict"
        }
    }
}
