/// `[notifications]`, Nova's group: what hosts with a conductor tell of their instances.
package enum NovaNotificationOptions {
    static let group = "notifications"

    static let format = OptionKey<NovaNotificationFormat>.choice(
        group,
        "notification_format",
        default: .unversioned,
        "What hosts with a conductor send: unversioned (this project's own notifications, to [oslo_messaging_notifications]"
            + " topics), versioned (Nova's, with Nova's payloads), or both."
    )
    static let topics = OptionKey<[String]>.list(
        group,
        "versioned_notifications_topics",
        default: ["versioned_notifications"],
        "Topics to send Nova's versioned notifications to."
    )

    static let all: [OptionDefinition] = [format.definition, topics.definition]
}
