package import Support

/// Where the answer to a call goes.
package struct ReplyAddress: Sendable, Hashable {
    /// The request's `_msg_id`.
    package var messageID: String
    /// The queue to publish to, through the default exchange.
    package var queue: String

    package init(messageID: String, queue: String) {
        self.messageID = messageID
        self.queue = queue
    }
}

/// A remote method call as it travels (oslo.messaging wire, section 5).
package struct RPCRequest: Sendable, Hashable {
    package var method: String
    package var args: JSONObject
    /// The target's namespace; an empty string is a namespace of its own.
    package var namespace: String?
    /// The target's version as sent; absent means ``effectiveVersion``.
    package var version: String?
    /// Set on calls, `nil` on casts.
    package var reply: ReplyAddress?
    /// The value of `_timeout` on calls, as sent: null, or the call-monitor timeout in seconds.
    package var timeoutValue: JSONValue
    /// Identifies the request when it is delivered again; absent = it is never taken for a duplicate.
    package var uniqueID: String?
    /// The caller's context, keys without their prefix.
    package var context: JSONObject

    package init(
        method: String,
        args: JSONObject = [:],
        namespace: String? = nil,
        version: String? = nil,
        reply: ReplyAddress? = nil,
        timeoutValue: JSONValue = .null,
        uniqueID: String?,
        context: JSONObject = [:]
    ) {
        self.method = method
        self.args = args
        self.namespace = namespace
        self.version = version
        self.reply = reply
        self.timeoutValue = timeoutValue
        self.uniqueID = uniqueID
        self.context = context
    }

    /// The version the request asks for.
    package var effectiveVersion: String { version ?? "1.0" }

    /// Whether the caller waits for an answer.
    package var isCall: Bool { reply != nil }
    package var messageID: String? { reply?.messageID }
    package var replyQueue: String? { reply?.queue }

    /// Seconds after which the caller gives up without a sign of life; `nil` = it does not monitor the call.
    package var monitorTimeout: Int? { isCall ? CallMonitoring.timeout(timeoutValue) : nil }

    /// How often to send heartbeats; `nil` = never (oslo.messaging wire, section 9).
    package var heartbeatInterval: Duration? { CallMonitoring.heartbeatInterval(monitorTimeout) }

    /// The context's `request_id`, for logs.
    package var requestID: String? { context["request_id"]?.stringValue }
}
