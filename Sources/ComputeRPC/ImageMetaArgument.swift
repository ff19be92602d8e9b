package import HostBackend
package import Support

/// The `image_meta` argument of `spawn`: what the image service says of the image, as a plain map or as an object in
/// Nova's serialised envelope.
package struct ImageMetaArgument: Sendable {
    private let field: Field

    /// `nil` when the request has none.
    init?(_ arguments: Arguments) throws {
        try self.init(plain: arguments["image_meta"], name: "image_meta")
    }

    /// `nil` when there is none, or an empty one, as for instances that start from a volume.
    ///
    /// - Parameter name: of the argument, for errors.
    package init?(plain value: JSONValue?, name: String) throws {
        guard let value, value != .object([:]) else { return nil }
        field = Field(name, try Field(name, value).object()["nova_object.data"] ?? value)
        _ = try field.object()
    }

    /// The image's reference.
    package func id() throws -> String? { try field.member("id")?.string(limit: 2048) }

    /// Checksums, format, size and a location; `nil` when it says nothing of them.
    package func details() throws -> ImageRequest? {
        var request = ImageRequest("")
        if let checksum = try text("checksum", 128) {
            request.checksums.append(ImageChecksum(algorithm: "md5", value: checksum))
        }
        if let algorithm = try text("os_hash_algo", 64), let value = try text("os_hash_value", 512) {
            request.checksums.append(ImageChecksum(algorithm: algorithm, value: value))
        }
        request.format = try text("disk_format", 64)
        if let size = try field.member("size")?.integer(in: 0...Int.max), size > 0 { request.size = UInt64(size) }
        request.location = try location()
        return request.hasConditions || request.location != nil ? request : nil
    }

    /// A member of the image itself or, where Nova puts what it does not know, of its properties.
    private func text(_ name: String, _ limit: Int) throws -> String? {
        let member = field.member(name) ?? field.member("properties")?.member(name)
        guard let text = try member?.string(limit: limit), !text.isEmpty else { return nil }
        return text
    }

    /// The first of its places that could be one for us.
    private func location() throws -> String? {
        var places = [try field.member("direct_url")?.string(limit: 2048)].compactMap { $0 }
        for entry in try field.member("locations")?.list().prefix(16) ?? [] {
            if let url = try entry.member("url")?.string(limit: 2048) { places.append(url) }
        }
        return places.first { place in ["file://", "http://", "https://"].contains { place.hasPrefix($0) } }
    }
}
