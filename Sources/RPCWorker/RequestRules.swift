import OsloMessaging

/// What a request must keep to before anything is done for it, beyond being well formed.
struct RequestRules: Sendable {
    /// Names of queues are AMQP short strings; ids are 32 digits where oslo.messaging makes them.
    static let longestName = 255

    /// What names of reply queues begin with; empty = anything.
    var replyQueuePrefixes: [String]

    /// Why the request is not taken; nothing of its content.
    func violation(_ reply: ReplyAddress?, uniqueID: String?, method: String?) -> String? {
        if let uniqueID, uniqueID.utf8.count > Self.longestName { return "invalid request: _unique_id is too long" }
        if let method, method.utf8.count > Self.longestName { return "invalid request: the method's name is too long" }
        guard let reply else { return nil }
        if reply.messageID.utf8.count > Self.longestName { return "invalid request: _msg_id is too long" }
        if !isReplyQueue(reply.queue) { return "invalid request: _reply_q is no reply queue" }
        return nil
    }

    /// Replies go to the queue of that name through the default exchange, which reaches every queue of the virtual
    /// host.
    private func isReplyQueue(_ name: String) -> Bool {
        let bytes = name.utf8.span
        guard bytes.count <= Self.longestName else { return false }
        for index in bytes.indices where bytes[index] <= 0x20 || bytes[index] == 0x7F { return false }
        return replyQueuePrefixes.isEmpty || replyQueuePrefixes.contains { name.hasPrefix($0) }
    }
}
