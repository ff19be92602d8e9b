/// What a client says an image's content must add up to.
package struct ImageChecksum: Sendable, Hashable {
    /// As Nova's `os_hash_algo` names it: `md5`, `sha1`, `sha256`, `sha384` or `sha512`.
    package var algorithm: String
    /// Hexadecimal digits, in small letters.
    package var value: String

    package init(algorithm: String, value: String) {
        self.algorithm = algorithm.lowercased()
        self.value = value.lowercased()
    }
}

/// An image that an instance needs, with what the client knows of it.
package struct ImageRequest: Sendable, Hashable {
    /// The name of an image of this host, or a URL.
    package var reference: String
    /// A URL where it can be fetched when this host has none of that name.
    package var location: String?
    /// All of them must be right.
    package var checksums: [ImageChecksum]
    /// The format that the content must have, as Nova's `disk_format` names it; `nil` = any.
    package var format: String?
    /// Bytes of the file.
    package var size: UInt64?
    /// The directory of the instance that is to use it: as long as it is there, the image stays.
    package var user: String?

    package init(
        _ reference: String,
        location: String? = nil,
        checksums: [ImageChecksum] = [],
        format: String? = nil,
        size: UInt64? = nil,
        user: String? = nil
    ) {
        self.reference = reference
        self.location = location
        self.checksums = checksums
        self.format = format
        self.size = size
        self.user = user
    }

    /// Whether the client says anything about the image that has to be checked.
    package var hasConditions: Bool { !checksums.isEmpty || format != nil || size != nil }
}
