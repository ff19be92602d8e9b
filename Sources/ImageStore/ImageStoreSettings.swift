package import HTTPClient

/// What an ``ImageStore`` is told.
package struct ImageStoreSettings: Sendable, Hashable {
    /// Where the images lie, `<reference>` or `<reference>.<extension>`.
    package var directory: String
    /// Name of the directory in it that holds what was fetched.
    package var cacheName = "_base"
    /// Where images may be fetched from; nowhere unless it is listed.
    package var sources: [ImageSource] = []
    /// Refuses to fetch an image of which no checksum is known.
    package var requiresChecksum = false
    /// Largest file of an image.
    package var maximumBytes: UInt64 = 128 << 30
    /// Largest disk that an image describes.
    package var maximumVirtualSize: UInt64 = 2 << 40
    /// Room that fetching leaves on the file system.
    package var reserveBytes: UInt64 = 1 << 30
    /// Fetches at once; more wait in line.
    package var maximumFetches = 4
    /// Tries of one fetch, each continuing the one before.
    package var attempts = 5
    /// For one fetch in all, waiting for another process that fetches the same included.
    package var fetchTimeout: Duration = .seconds(3600)
    /// Limits of single connections.
    package var deadlines = HTTPDeadlines(connect: .seconds(30), stall: .seconds(60), total: nil)
    package var http = HTTPSettings()
    /// Whether fetched images that nobody uses are removed.
    package var removesUnused = true
    /// How long an image stays after its last use.
    package var minimumAge: Duration = .seconds(86_400)
    /// Time between looks for unused images; `nil` = never.
    package var ageingInterval: Duration? = .seconds(2400)

    package init(directory: String) { self.directory = directory }

    package var cacheDirectory: String { directory + "/" + cacheName }
}
