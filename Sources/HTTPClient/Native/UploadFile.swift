import Glibc

/// The file of an upload, read from its beginning on, by the client's thread alone.
final class UploadFile {
    private let path: String
    private let descriptor: Int32
    private var offset: UInt64 = 0
    /// Bytes that are announced; a file that changes its size meanwhile makes the upload fail.
    let size: UInt64

    init(_ path: String) throws(HTTPError) {
        self.path = path
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Self.failure(path) }
        var information = stat()
        guard fstat(descriptor, &information) == 0 else {
            let error = Self.failure(path)
            close(descriptor)
            throw error
        }
        size = UInt64(max(information.st_size, 0))
    }

    deinit { close(descriptor) }

    func seek(_ offset: UInt64) { self.offset = offset }

    func read(_ buffer: UnsafeMutableRawBufferPointer) throws(HTTPError) -> Int {
        while true {
            let count = pread(descriptor, buffer.baseAddress, buffer.count, off_t(offset))
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw Self.failure(path) }
            offset += UInt64(count)
            return count
        }
    }

    private static func failure(_ path: String) -> HTTPError {
        HTTPError(.file, "\(path): \(String(cString: strerror(errno)))")
    }
}
