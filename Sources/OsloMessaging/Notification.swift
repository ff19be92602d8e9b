package import AMQPModel
package import JSONCodec
package import Support

/// A notification as it travels (oslo.messaging wire, section 12).
package struct Notification: Sendable, Hashable {
    /// How loud it is; also, in lower case, the end of its routing key.
    package enum Priority: String, Sendable, Hashable, CaseIterable {
        case audit = "AUDIT"
        case debug = "DEBUG"
        case info = "INFO"
        case warn = "WARN"
        case error = "ERROR"
        case critical = "CRITICAL"
        case sample = "SAMPLE"
    }

    /// The driver's form.
    package enum Driver: String, Sendable, Hashable {
        /// In an envelope.
        case messagingv2
        /// The bare object.
        case messaging
    }

    /// A UUID with dashes.
    package var messageID: String
    /// `service.host` by convention.
    package var publisherID: String?
    /// Dotted, like `instance.power_on.start`.
    package var eventType: String
    package var priority: Priority
    package var payload: JSONValue
    /// UTC as ``WireTime/notification(_:)`` writes it.
    package var timestamp: String
    package var uniqueID: String?
    /// Already without what must not travel, see ``sanitized(context:at:)``.
    package var context: JSONObject

    package init(
        messageID: String,
        publisherID: String?,
        eventType: String,
        priority: Priority,
        payload: JSONValue,
        timestamp: String,
        uniqueID: String?,
        context: JSONObject = [:]
    ) {
        self.messageID = messageID
        self.publisherID = publisherID
        self.eventType = eventType
        self.priority = priority
        self.payload = payload
        self.timestamp = timestamp
        self.uniqueID = uniqueID
        self.context = context
    }

    /// The message's body, byte for byte what Python writes for the same values.
    ///
    /// - Throws: when the payload or context holds a number without a JSON form or is nested too deeply.
    package func encode(driver: Driver = .messagingv2) throws(JSONError) -> [UInt8] {
        var writer = JSONWriter(capacity: 1024)
        switch driver {
        case .messagingv2:
            try writer.envelope { writer throws(JSONError) in try write(to: &writer) }
        case .messaging:
            writer.beginObject()
            try write(to: &writer)
            writer.endObject()
        }
        return writer.bytes
    }

    private func write(to writer: inout JSONWriter) throws(JSONError) {
        writer.member("message_id", string: messageID)
        writer.member("publisher_id", string: publisherID)
        writer.member("event_type", string: eventType)
        writer.member("priority", string: priority.rawValue)
        try writer.member("payload", payload)
        writer.member("timestamp", string: timestamp)
        if let uniqueID { writer.member("_unique_id", string: uniqueID) }
        for member in context { try writer.member(WireKey.contextPrefix + member.key, member.value) }
    }

    /// Reads a notification of either driver.
    package init(
        body: [UInt8],
        properties: MessageProperties,
        limits: JSONLimits = JSONLimits()
    ) throws(MessageRejection) {
        let object = try MessageReader(limits: limits).object(body, properties)
        guard let eventType = object["event_type"]?.stringValue else {
            throw MessageRejection(.invalidNotification, "no event_type", body: body)
        }
        guard let priority = Priority(rawValue: object["priority"]?.stringValue?.uppercased() ?? "") else {
            throw MessageRejection(.invalidNotification, "no known priority", body: body)
        }
        var context = JSONObject()
        for member in object where member.key.hasPrefix(WireKey.contextPrefix) {
            context.append(String(member.key.dropFirst(WireKey.contextPrefix.count)), member.value)
        }
        self.init(
            messageID: object["message_id"]?.stringValue ?? "",
            publisherID: object["publisher_id"]?.stringValue,
            eventType: eventType,
            priority: priority,
            payload: object["payload"] ?? .null,
            timestamp: object["timestamp"]?.stringValue ?? "",
            uniqueID: object["_unique_id"]?.stringValue,
            context: context
        )
    }

    /// What of a request's context may go along, as oslo.messaging 18.3.1 has it: of a request context all but
    /// token, addresses and catalogue, with the time of now; of any other dictionary nothing.
    package static func sanitized(context: JSONObject, at time: WireTime) -> JSONObject {
        // A serialised RequestContext is known by the member that only oslo.context writes.
        guard context["user_identity"] != nil else { return [:] }
        let replaced: JSONObject = [
            "auth_token": .null, "remote_address": .null, "service_catalog": [], "timestamp": .string(time.context),
        ]
        var sanitized = context
        for member in replaced where context[member.key] != nil { sanitized[member.key] = member.value }
        return sanitized
    }
}
