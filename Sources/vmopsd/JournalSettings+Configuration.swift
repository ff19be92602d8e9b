import Journal

import struct Configuration.Settings

extension JournalSettings {
    init(_ all: Settings) {
        let settings = all.journal
        self.init(
            rememberFor: .seconds(settings.retentionHours * 3600),
            sizeLimit: Int64(settings.maxBytes),
            checkpointPages: max(1, settings.checkpointBytes / 4096)
        )
    }
}
