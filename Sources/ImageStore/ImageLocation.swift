import DiskImages
import HTTPClient
package import HostBackend
import Support

/// What an image's reference means.
enum ImageLocation: Sendable {
    /// A name in the images directory.
    case name(String)
    /// An absolute path, from a `file` URL.
    case file(String)
    case web(HTTPURL)

    /// - Throws: `invalidArgument`, without the text.
    init(_ reference: String) throws(BackendError) {
        guard let separator = reference.firstRange(of: "://") else {
            try ImageReference.check(reference)
            self = .name(reference)
            return
        }
        switch reference[..<separator.lowerBound].lowercased() {
        case "file":
            self = .file(try Self.path(reference[separator.upperBound...]))
        case "http", "https":
            let url: HTTPURL
            do { url = try HTTPURL(reference) } catch { throw BackendError(.invalidArgument, error.message) }
            guard url.credentials == nil else {
                throw BackendError(.invalidArgument, "a reference must not hold a password")
            }
            // Servers differ in what these mean, and an allow-list of paths must not depend on it.
            let path = url.path.lowercased()
            guard !["%2e", "%2f", "%5c", "\\"].contains(where: { path.contains($0) }) else {
                throw BackendError(.invalidArgument, "an encoded separator in a path")
            }
            self = .web(url)
        default:
            throw BackendError(.invalidArgument, "its scheme is none of file, http and https")
        }
    }

    /// The format that the extension says.
    var declared: DiskFormat? {
        switch self {
        case .name: nil
        case .file(let path): ImageReference.declared(path)
        case .web(let url): ImageReference.declared(url.path)
        }
    }

    /// Path of a `file` URL, percent-encoding undone.
    private static func path(_ text: Substring) throws(BackendError) -> String {
        let bytes = Array((text.hasPrefix("localhost/") ? text.dropFirst(9) : text).utf8)
        var path: [UInt8] = []
        var position = 0
        while position < bytes.count {
            var byte = bytes[position]
            position += 1
            guard byte > 0x20, byte != 0x7F, byte != UInt8(ascii: "?"), byte != UInt8(ascii: "#") else {
                throw BackendError(.invalidArgument, "not a URL of a file")
            }
            if byte == UInt8(ascii: "%") {
                guard position + 2 <= bytes.count,
                    let value = UInt8(String(decoding: bytes[position..<position + 2], as: UTF8.self), radix: 16),
                    value != 0
                else { throw BackendError(.invalidArgument, "not a URL of a file") }
                byte = value
                position += 2
            }
            path.append(byte)
        }
        guard path.first == UInt8(ascii: "/"), path.count < 4096 else {
            throw BackendError(.invalidArgument, "not a URL of a file on this machine")
        }
        return String(decoding: path, as: UTF8.self)
    }

    /// For logs and errors: no password, no query.
    static func label(_ reference: String) -> String {
        let masked = CredentialMask.masking(String(reference.prefix(300)))
        let shown = masked.contains("://") ? String(masked.prefix { $0 != "?" && $0 != "#" }) : masked
        return shown.unicodeScalars.contains { $0.properties.generalCategory == .control }
            ? shown.debugDescription : shown
    }
}

/// A place that images may come from, from the configuration.
package struct ImageSource: Sendable, Hashable {
    private enum Place: Sendable, Hashable {
        case directory(String)
        case web(HTTPURL)
    }

    private let place: Place

    /// - Parameter text: `file:///directory`, `https://host/path/` or `http://host/path/`; everything below is meant.
    /// - Throws: `invalidArgument` with what is wrong.
    package init(_ text: String) throws(BackendError) {
        switch try ImageLocation(text) {
        case .name: throw BackendError(.invalidArgument, "not a URL: \(text)")
        case .file(let path): place = .directory(path)
        case .web(let url):
            guard url.query == nil else { throw BackendError(.invalidArgument, "a source has no query: \(url)") }
            place = .web(url)
        }
    }

    /// The directory of a `file` source.
    var directory: String? {
        if case .directory(let path) = place { path } else { nil }
    }

    /// Whether the URL lies below this one: same scheme, host and port, and a path whose first segments are ours.
    func allows(_ url: HTTPURL) -> Bool {
        guard case .web(let base) = place, base.hasOrigin(of: url) else { return false }
        return url.path == base.path || url.path.hasPrefix(base.path.hasSuffix("/") ? base.path : base.path + "/")
    }
}
