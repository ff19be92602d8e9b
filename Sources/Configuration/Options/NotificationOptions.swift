import Support

/// `[oslo_messaging_notifications]` (oslo.messaging wire, section 14).
package enum NotificationOptions {
    static let group = "oslo_messaging_notifications"

    static let driver = OptionKey<[String]>.multi(
        group,
        "driver",
        "Formats to send notifications in: messaging, messagingv2, noop, log; none given: no notifications."
    )
    static let topics = OptionKey<[String]>.list(
        group,
        "topics",
        default: ["notifications"],
        "Topics to send them to."
    )
    static let transportURL = OptionKey<Redacted<String>?>.secretURL(
        group,
        "transport_url",
        default: nil,
        "The broker for notifications; not set: the one for requests."
    )
    static let retry = OptionKey<Int>.integer(
        group,
        "retry",
        default: -1,
        in: -1...Int(Int32.max),
        "Further attempts to send one; -1: until it is sent, 0: none."
    )

    static let all: [OptionDefinition] = [
        driver.definition, topics.definition, transportURL.definition, retry.definition,
    ]
}
