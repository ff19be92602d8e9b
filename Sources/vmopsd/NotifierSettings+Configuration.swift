import OsloMessaging
import RPCClient

import struct Configuration.Settings

extension NotifierSettings {
    /// `nil` when no driver sends anything.
    init?(_ settings: Settings) {
        let drivers = settings.notifications.drivers.compactMap(Notification.Driver.init(rawValue:))
        guard !drivers.isEmpty else { return nil }
        self.init(
            drivers: drivers,
            exchange: settings.messaging.controlExchange,
            topics: settings.notifications.topics,
            retry: settings.notifications.retry,
            topology: settings.topologyOptions
        )
    }
}
