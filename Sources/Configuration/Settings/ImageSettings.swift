package import Support

/// Where images come from and how long they stay.
package struct ImageSettings: Sendable, Hashable {
    /// URLs as they were written.
    package var allowedSources: [String]
    package var requireChecksum: Bool
    package var maxFileBytes: UInt64
    package var maxVirtualBytes: UInt64
    package var reserveBytes: UInt64
    package var maxFetches: Int
    package var fetchAttempts: Int
    package var fetchTimeout: Duration
    package var connectTimeout: Duration
    package var stallTimeout: Duration
    package var caFile: String?
    package var certificateFile: String?
    package var keyFile: String?
    /// May hold a password.
    package var proxy: Redacted<String>?
    package var cacheName: String
    package var removeUnused: Bool
    package var minimumAge: Duration
    /// `nil` = never.
    package var ageingInterval: Duration?

    init(_ reader: SettingsReader) {
        allowedSources = reader[ImageOptions.allowedSources]
        requireChecksum = reader[ImageOptions.requireChecksum]
        maxFileBytes = UInt64(reader[ImageOptions.maxFileGB]) << 30
        maxVirtualBytes = UInt64(reader[ImageOptions.maxVirtualGB]) << 30
        reserveBytes = UInt64(reader[ImageOptions.reserveMB]) << 20
        maxFetches = reader[ImageOptions.maxFetches]
        fetchAttempts = reader[ImageOptions.fetchAttempts]
        fetchTimeout = reader[ImageOptions.fetchTimeout]
        connectTimeout = reader[ImageOptions.connectTimeout]
        stallTimeout = reader[ImageOptions.stallTimeout]
        caFile = reader[ImageOptions.caFile]
        certificateFile = reader[ImageOptions.certificateFile]
        keyFile = reader[ImageOptions.keyFile]
        proxy = reader[ImageOptions.proxy].map(Redacted.init)
        cacheName = reader[ImageCacheOptions.subdirectoryName]
        removeUnused = reader[ImageCacheOptions.removeUnused]
        minimumAge = reader[ImageCacheOptions.minimumAge]
        let interval = reader[ImageCacheOptions.managerInterval]
        ageingInterval = interval < 0 ? nil : .seconds(interval == 0 ? 60 : interval)
    }
}
