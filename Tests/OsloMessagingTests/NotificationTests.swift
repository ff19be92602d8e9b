import AMQPModel
import JSONCodec
import OsloMessaging
import Support
import TestSupport
import Testing

/// oslo.messaging wire, section 12.
@Suite struct NotificationTests {
    private static let vectors = OsloVector.named("notify-")

    @Test func allVectorsAreThere() {
        #expect(Self.vectors.count == 12)
    }

    @Test(arguments: vectors)
    func everyCapturedNotificationIsReadAndWrittenBackByteForByte(_ vector: OsloVector) throws {
        let notification = try OsloMessaging.Notification(body: vector.body, properties: vector.messageProperties)
        let driver: OsloMessaging.Notification.Driver = vector.name.hasSuffix("-v1") ? .messaging : .messagingv2
        let body = try notification.encode(driver: driver)
        #expect(String(utf8: body) == String(utf8: vector.body))
        let topic = String(vector.routingKey.prefix { $0 != "." })
        let message = OutboundMessage.notification(
            body,
            exchange: vector.exchange,
            topic: topic,
            priority: notification.priority
        )
        #expect(message.exchange == vector.exchange)
        #expect(message.routingKey == vector.routingKey)
        #expect(message.mandatory == vector.mandatory)
        #expect(message.properties == vector.messageProperties)
    }

    /// The captured request's context, sanitised, is the captured notification's.
    @Test func aRequestContextIsSanitisedAsPythonDoes() throws {
        let vector = try OsloVector(folder: "nova", name: "notify-info-request-context")
        let captured = try OsloMessaging.Notification(body: vector.body, properties: vector.messageProperties).context
        let call = try OsloVector(folder: "nova", name: "request-ping-baseapi")
        guard
            case .request(let request) = RequestDecoder().decode(body: call.body, properties: call.messageProperties)
        else {
            Issue.record("no request")
            return
        }
        #expect(request.context["auth_token"] == "gAAAAA-not-a-real-token")
        let time = WireTime(seconds: 1_795_219_492, microseconds: 19357)
        let sanitized = OsloMessaging.Notification.sanitized(context: request.context, at: time)
        #expect(sanitized["timestamp"] == "2026-11-21T00:04:52.019357")
        #expect(
            String(utf8: try JSONWriter.bytes(of: .object(sanitized)))
                == String(utf8: try JSONWriter.bytes(of: .object(captured)))
        )
    }

    @Test func anyOtherContextIsDropped() {
        let context: JSONObject = ["request_id": "req-1", "auth_token": "secret"]
        #expect(OsloMessaging.Notification.sanitized(context: context, at: .now()).isEmpty)
    }

    @Test(
        arguments: [
            (0, 0, "1970-01-01 00:00:00", "1970-01-01T00:00:00.000000"),
            (1_795_219_492, 52_019, "2026-11-21 00:04:52.052019", "2026-11-21T00:04:52.052019"),
            (951_782_399, 1, "2000-02-28 23:59:59.000001", "2000-02-28T23:59:59.000001"),
            (951_782_400, 0, "2000-02-29 00:00:00", "2000-02-29T00:00:00.000000"),
            (4_107_542_400, 999_999, "2100-03-01 00:00:00.999999", "2100-03-01T00:00:00.999999"),
            (-1, 500_000, "1969-12-31 23:59:59.500000", "1969-12-31T23:59:59.500000"),
        ] as [(Int64, Int, String, String)]
    )
    func timesAreWrittenAsPythonDoes(_ seconds: Int64, _ micro: Int, _ notification: String, _ context: String) {
        let time = WireTime(seconds: seconds, microseconds: micro)
        #expect(time.notification == notification)
        #expect(time.context == context)
    }

    @Test(arguments: ["{}", #"{"event_type": "x"}"#, #"{"event_type": "x", "priority": "warning"}"#, "[1]", "x"])
    func whatIsNoNotificationIsRejected(_ text: String) {
        #expect(throws: MessageRejection.self) {
            try OsloMessaging.Notification(body: Array(text.utf8), properties: OsloProperties.plain)
        }
    }

    @Test(arguments: [
        (Duration.seconds(60), "60000"), (.milliseconds(5500), "5500"), (.microseconds(5_500_999), "5500"),
        (.zero, "0"), (.seconds(-3), "0"), (.seconds(1800), "1800000"),
    ])
    func callsExpireInWholeMilliseconds(_ timeout: Duration, _ expected: String) {
        #expect(OsloProperties.call(timeout: timeout).expiration == expected)
        #expect(OsloProperties.plain.expiration == nil)
    }
}
