import Glibc

/// Reads whole small files and lists directories; blocking, for use at start and on SIGHUP.
enum FileReader {
    /// Configuration files are small; a larger one is a mistake and would only cost memory.
    static let largestFile = 4 << 20

    struct Failure: Error {
        let message: String
    }

    /// - Throws: ``Failure`` when the file cannot be read, is too large or is not UTF-8.
    static func text(of path: String) throws(Failure) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Failure(message: "cannot be opened: \(reason(errno))") }
        defer { close(descriptor) }
        var content: [UInt8] = []
        var block = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = read(descriptor, &block, block.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw Failure(message: "cannot be read: \(reason(errno))") }
            if count == 0 { break }
            content += block.prefix(count)
            guard content.count <= largestFile else { throw Failure(message: "is larger than \(largestFile) bytes") }
        }
        guard let text = String(validating: content, as: UTF8.self) else { throw Failure(message: "is not UTF-8 text") }
        return text
    }

    /// The paths of the directory's `*.conf`, sorted by name; hidden files are left out.
    static func configurationFiles(in directory: String) throws(Failure) -> [String] {
        guard let stream = opendir(directory) else { throw Failure(message: "cannot be opened: \(reason(errno))") }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name.hasSuffix(".conf"), !name.hasPrefix(".") { names.append(name) }
        }
        return names.sorted().map { "\(directory)/\($0)" }
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    private static func reason(_ code: Int32) -> String { String(cString: strerror(code)) }
}
