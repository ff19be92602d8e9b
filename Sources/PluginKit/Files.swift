import Glibc
import Support

/// Whole files. Every call blocks.
enum Files {
    private static let piece = 1 << 20

    /// - Throws: `FileError` or `SystemCallError`; a file that is there is not overwritten.
    static func write(_ bytes: [UInt8], to path: String) throws {
        try ReactorFile.writing(path, exclusively: true).write(bytes)
    }

    static func copy(_ source: String, to destination: String) throws {
        guard let from = try ReactorFile.reading(source) else { throw SystemCallError("open", ENOENT, path: source) }
        let to = try ReactorFile.writing(destination, exclusively: true)
        var offset = 0
        while true {
            let bytes = try from.read(at: offset, count: piece)
            if bytes.isEmpty { return }
            try to.write(bytes)
            offset += bytes.count
        }
    }
}
