import DiskImages
import HostBackend

/// The files of one fetched image in the cache directory. The key stands for where it came from and for the checksums
/// that were asked of it, so that a file once there never changes its content.
struct CacheEntry: Sendable, Hashable {
    static let keyLength = 40

    let directory: String
    let key: String

    init(directory: String, key: String) {
        self.directory = directory
        self.key = key
    }

    /// - Parameter identity: texts that together tell one content from another.
    init(directory: String, identity: [String]) throws(BackendError) {
        self.directory = directory
        key = String(try ContentDigest.sha256(identity.joined(separator: "\n")).prefix(Self.keyLength))
    }

    /// Whether a name begins like those of an entry.
    static func key(of name: String) -> String? {
        let key = name.prefix { $0 != "." }
        let isHexadecimal = key.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
        return key.utf8.count == keyLength && isHexadecimal ? String(key) : nil
    }

    /// What the users of the entry leave here, one file each.
    var users: String { "\(directory)/users/\(key)" }
    var lock: String { "\(directory)/locks/\(key)" }
    /// What has come of a fetch, and which version of the source it is.
    var partial: String { "\(directory)/\(key).part" }
    var partialRecord: String { "\(directory)/\(key).part.json" }
    /// Where the image came from, for people.
    var record: String { "\(directory)/\(key).json" }
    /// Its time of change is that of the last use.
    var lastUse: String { "\(directory)/\(key).used" }

    func image(_ format: DiskFormat) -> String { "\(directory)/\(key).\(Self.fileExtension(format))" }

    static func fileExtension(_ format: DiskFormat) -> String { format == .vpc ? "vhd" : format.rawValue }

    /// The image, if it is there; blocks.
    func find() throws(BackendError) -> (path: String, format: DiskFormat, status: FileCalls.Status)? {
        for format in DiskFormat.allCases {
            let path = image(format)
            if let status = try FileCalls.status(path), status.isRegular { return (path, format, status) }
        }
        return nil
    }

    /// Makes the directories; blocks.
    static func prepare(_ directory: String) throws(BackendError) {
        if try FileCalls.status(directory + "/locks")?.isDirectory == true { return }
        try FileCalls.makeDirectories(directory)
        try CacheFiles.open(directory)
        try FileCalls.makeDirectories(directory + "/users")
        try FileCalls.makeDirectories(directory + "/locks")
    }
}
