import Support

/// What tells one version of a resource from another, strong enough to put two halves together.
package struct HTTPValidator: Sendable, Hashable {
    /// The value for `If-Range`: a strong entity tag, or else the date of the last change.
    package let text: String

    package init(_ text: String) { self.text = text }

    /// `nil` when the response has nothing of the kind (RFC 9110, section 8.8).
    init?(_ head: HTTPHead) {
        if let tag = head["ETag"], tag.hasPrefix("\""), tag.count > 2 {
            text = tag
        } else if let date = head["Last-Modified"], !date.isEmpty {
            text = date
        } else {
            return nil
        }
    }
}

/// A response body to be written to a file.
package struct HTTPDownload: Sendable {
    /// A GET.
    package var request: HTTPRequest
    /// Made if it is not there; an existing one is continued or begun anew.
    package var path: String
    /// The version of which the file holds the beginning; `nil` = what it holds is worth nothing.
    package var resume: HTTPValidator?
    /// Stands for the version when the server names none: the caller knows that what is there never changes, and checks
    /// the whole.
    package var constant: HTTPValidator?
    /// Larger bodies end the download with `tooLarge`.
    package var maximumBytes: UInt64
    /// Room that the file system must keep; less ends the download with `noSpace`.
    package var reserveBytes: UInt64
    /// Tries in all; each continues where the one before broke off, if the server can.
    package var attempts: Int
    /// Called on the client's thread before the first byte of each try is written, for the caller to note which
    /// version the file will hold.
    package var onStart: @Sendable (HTTPDownloadStart) throws -> Void
    /// Called on the client's thread, at most once a second.
    package var onProgress: @Sendable (_ bytes: UInt64, _ total: UInt64?) -> Void

    package init(
        _ request: HTTPRequest,
        to path: String,
        resume: HTTPValidator? = nil,
        constant: HTTPValidator? = nil,
        maximumBytes: UInt64 = .max,
        reserveBytes: UInt64 = 0,
        attempts: Int = 4,
        onStart: @escaping @Sendable (HTTPDownloadStart) throws -> Void = { _ in },
        onProgress: @escaping @Sendable (_ bytes: UInt64, _ total: UInt64?) -> Void = { _, _ in }
    ) {
        self.request = request
        self.path = path
        self.resume = resume
        self.constant = constant
        self.maximumBytes = maximumBytes
        self.reserveBytes = reserveBytes
        self.attempts = attempts
        self.onStart = onStart
        self.onProgress = onProgress
    }
}

/// How one try of a download begins.
package struct HTTPDownloadStart: Sendable, Hashable {
    /// `nil`: this version cannot be continued later.
    package var validator: HTTPValidator?
    /// Bytes that were there already and are kept.
    package var offset: UInt64
    /// Bytes of the whole, if the server says so.
    package var total: UInt64?
}

/// What a finished download came to.
package struct HTTPDownloadResult: Sendable, Hashable {
    package var bytes: UInt64
    /// Where it came from after all redirects.
    package var url: HTTPURL
    /// Whether the end was marked by a length or a last chunk; otherwise a broken connection looks the same.
    package var hasCertainEnd: Bool
    /// Bytes that an earlier try or call had left and that were not sent again.
    package var resumedFrom: UInt64
}
