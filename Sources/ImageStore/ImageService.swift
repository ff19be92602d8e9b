package import HTTPClient
package import HostBackend
import Support

/// A service that has images by their identifiers, beside the sources that the configuration allows.
package protocol ImageService: Sendable {
    /// What its content is fetched with; a client of its own for downloads.
    var client: HTTPClient { get }

    /// The request for the content of an image. Nothing but the answer's origin may be followed to.
    ///
    /// - Parameter isRefused: the request before was answered with 401.
    /// - Throws: a `BackendError` when the service cannot be asked.
    func request(for id: String, isRefused: Bool) async throws(BackendError) -> HTTPRequest
}

extension ImageLocation {
    /// Whether a name has the form of a service's identifiers: other names are the images directory's alone.
    static func isIdentifier(_ name: String) -> Bool {
        let parts = name.split(separator: "-", omittingEmptySubsequences: false).map(\.utf8.count)
        return parts == [8, 4, 4, 4, 12] && name.utf8.allSatisfy { $0 == UInt8(ascii: "-") || isHexadecimal($0) }
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte) || (0x41...0x46).contains(byte)
    }
}
