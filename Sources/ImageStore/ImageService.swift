package import HTTPClient
package import HostBackend

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
        InstanceUUID(name)?.text == name.lowercased()
    }
}
