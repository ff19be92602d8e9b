import Glibc
import Synchronization

/// The file of a download, open for writing until the last reference goes.
final class DownloadFile: Sendable {
    let path: String
    private let descriptor: Int32

    init(_ path: String) throws(HTTPError) {
        self.path = path
        descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        if descriptor < 0 { throw Self.failure(path, errno) }
    }

    deinit { close(descriptor) }

    func size() throws(HTTPError) -> UInt64 {
        var information = stat()
        guard fstat(descriptor, &information) == 0 else { throw Self.failure(path, errno) }
        return UInt64(max(information.st_size, 0))
    }

    func truncate() throws(HTTPError) {
        guard ftruncate(descriptor, 0) == 0 else { throw Self.failure(path, errno) }
    }

    /// Bytes that this user may still write to the file system.
    func available() throws(HTTPError) -> UInt64 {
        var information = statvfs()
        guard fstatvfs(descriptor, &information) == 0 else { throw Self.failure(path, errno) }
        return UInt64(information.f_bavail) * UInt64(information.f_frsize)
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(HTTPError) {
        var rest = bytes
        var position = offset
        while !rest.isEmpty {
            let count = pwrite(descriptor, rest.baseAddress, rest.count, off_t(position))
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw Self.failure(path, count < 0 ? errno : EIO) }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            position += UInt64(count)
        }
    }

    private static func failure(_ path: String, _ number: Int32) -> HTTPError {
        let isFull = number == ENOSPC || number == EDQUOT || number == EFBIG
        return HTTPError(isFull ? .noSpace : .file, "\(path): \(String(cString: strerror(number)))")
    }
}

/// Writes a body to a file, at the place where the server says it belongs.
final class FileSink: BodySink {
    private struct State {
        /// Where the next byte goes.
        var offset: UInt64 = 0
        /// Bytes of earlier tries that are kept.
        var kept: UInt64 = 0
        var total: UInt64?
        var validator: HTTPValidator?
        /// Whether bytes are to be written: not for redirects and errors.
        var takesBody = false
        var checkedAt: UInt64 = 0
        var reportedAt: ContinuousClock.Instant?
    }

    /// The room is looked at anew after so many bytes.
    private static let checkInterval: UInt64 = 32 << 20

    private let file: DownloadFile
    private let download: HTTPDownload
    private let state = Mutex(State())

    init(_ file: DownloadFile, _ download: HTTPDownload) {
        self.file = file
        self.download = download
    }

    /// Whether the file was touched.
    var hasBegun: Bool { state.withLock { $0.takesBody } }

    /// What the file now holds the beginning of.
    var validator: HTTPValidator? { state.withLock { $0.validator } }

    /// The request asks for the rest from here.
    func expect(offset: UInt64) { state.withLock { $0.offset = offset } }

    func begin(_ head: HTTPHead) throws(HTTPError) {
        try state.withLock { state throws(HTTPError) in
            state.takesBody = false
            let length = head["Content-Length"].flatMap { UInt64($0) }
            switch head.status {
            case 200:
                try file.truncate()
                state.offset = 0
                state.total = length
            case 206:
                guard let range = ContentRange(head["Content-Range"]), range.first == state.offset else {
                    throw HTTPError(.protocolViolation, "\(download.request.url) sent another part than asked for")
                }
                state.total = range.total
            default:
                return
            }
            state.kept = state.offset
            state.validator = HTTPValidator(head) ?? download.constant
            state.takesBody = true
            try check(state, coming: state.total.map { $0 - min($0, state.offset) } ?? 0)
            let start = HTTPDownloadStart(validator: state.validator, offset: state.offset, total: state.total)
            do { try download.onStart(start) } catch { throw HTTPError(.file, "\(error)") }
        }
    }

    func receive(_ bytes: UnsafeRawBufferPointer) throws(HTTPError) {
        let progress = try state.withLock { state throws(HTTPError) -> (UInt64, UInt64?)? in
            guard state.takesBody else { return nil }
            guard UInt64(bytes.count) <= download.maximumBytes - min(state.offset, download.maximumBytes) else {
                throw tooLarge(nil)
            }
            if state.offset - min(state.checkedAt, state.offset) >= Self.checkInterval {
                try check(state, coming: UInt64(bytes.count))
                state.checkedAt = state.offset
            }
            try file.write(bytes, at: state.offset)
            state.offset += UInt64(bytes.count)
            let now = ContinuousClock.now
            if let last = state.reportedAt, now - last < .seconds(1) { return nil }
            state.reportedAt = now
            return (state.offset, state.total)
        }
        if let progress { download.onProgress(progress.0, progress.1) }
    }

    /// The body has ended.
    func result(_ head: HTTPHead, _ url: HTTPURL) throws(HTTPError) -> HTTPDownloadResult {
        let state = state.withLock { state in
            (offset: state.offset, total: state.total, kept: state.kept)
        }
        if let total = state.total, total != state.offset {
            throw HTTPError(.interrupted, "\(url) ended after \(state.offset) of \(total) bytes")
        }
        let isChunked = head["Transfer-Encoding"]?.lowercased().contains("chunked") == true
        return HTTPDownloadResult(
            bytes: state.offset,
            url: url,
            hasCertainEnd: state.total != nil || isChunked,
            resumedFrom: state.kept
        )
    }

    /// - Parameter coming: bytes still to be written, as far as is known.
    private func check(_ state: State, coming: UInt64) throws(HTTPError) {
        if let total = state.total, total > download.maximumBytes { throw tooLarge(total) }
        let available = try file.available()
        let (needed, overflow) = coming.addingReportingOverflow(download.reserveBytes)
        guard !overflow, needed <= available else {
            throw HTTPError(
                .noSpace,
                "\(coming) bytes to come and \(download.reserveBytes) to keep free, \(available) are left for "
                    + file.path
            )
        }
    }

    private func tooLarge(_ total: UInt64?) -> HTTPError {
        let size = total.map { "\($0) bytes" } ?? "more bytes than that"
        return HTTPError(.tooLarge, "\(download.request.url) has \(size), at most \(download.maximumBytes) are taken")
    }
}

/// `bytes FIRST-LAST/TOTAL`; a total of `*` is not known (RFC 9110, section 14.4).
private struct ContentRange {
    let first: UInt64
    let total: UInt64?

    init?(_ text: String?) {
        guard let text, text.hasPrefix("bytes ") else { return nil }
        let parts = text.dropFirst(6).split(separator: "/")
        guard parts.count == 2 else { return nil }
        let ends = parts[0].split(separator: "-")
        guard ends.count == 2, let first = UInt64(ends[0]), let last = UInt64(ends[1]), first <= last else {
            return nil
        }
        self.first = first
        total = UInt64(parts[1])
        if let total, last >= total { return nil }
    }
}
