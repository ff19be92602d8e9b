import Support
import Synchronization

/// What a machine printed and the worker was sent, newest bytes, with their offsets in all that it has printed: a worker
/// whose connection broke with bytes under way goes on where it was (plugin protocol, section 9).
///
/// Files of one directory, named by the offset of their first byte; at most ``fileCount`` of ``fileBytes`` each. They
/// outlive the process, not a power failure. Between taking bytes from the host and writing them down there is a moment
/// in which a killed process loses them. Every call blocks; calls come one after the other.
struct ConsoleSpool: Sendable {
    static let fileBytes: UInt64 = 512 << 10
    static let fileCount = 4

    private struct Part {
        var offset: UInt64
        var bytes: UInt64
    }

    private let directory: String
    private var parts: [Part] = []
    private var last: ReactorFile?
    /// Files that could not be written are gone, and nothing is kept any more.
    private var isBroken = false

    /// - Throws: `SystemCallError`.
    init(_ directory: String) throws {
        self.directory = directory
        try makeDirectories(directory)
        for name in try ReactorDirectory.names(directory) ?? [] {
            guard let offset = UInt64(name), let facts = try ReactorDirectory.facts(directory + "/" + name) else {
                continue
            }
            parts.append(Part(offset: offset, bytes: UInt64(clamping: facts.size)))
        }
        parts.sort { $0.offset < $1.offset }
    }

    /// Forgets what is kept of a machine. One that there is not is fine.
    static func remove(_ directory: String) throws { try removeTree(directory) }

    /// The offset of the oldest byte that is kept.
    var begin: UInt64 { parts.first?.offset ?? 0 }

    /// The offset of the next byte.
    var end: UInt64 { parts.last.map { $0.offset + $0.bytes } ?? 0 }

    /// Adds bytes at the end. What cannot be written takes everything with it: a copy with holes is none.
    mutating func append(_ bytes: [UInt8]) {
        guard !isBroken else { return }
        do {
            try write(bytes)
        } catch {
            isBroken = true
            parts = []
            last = nil
            try? removeTree(directory)
        }
    }

    private mutating func write(_ bytes: [UInt8]) throws {
        if last == nil || (parts.last?.bytes ?? 0) >= Self.fileBytes {
            let isNew = last != nil || parts.isEmpty || (parts.last?.bytes ?? 0) >= Self.fileBytes
            let part = isNew ? Part(offset: end, bytes: 0) : parts[parts.count - 1]
            last = try ReactorFile.appending("\(directory)/\(part.offset)")
            if isNew { parts.append(part) }
            while parts.count > Self.fileCount {
                try ReactorDirectory.removeFile("\(directory)/\(parts[0].offset)")
                parts.removeFirst()
            }
        }
        try last?.write(bytes)
        parts[parts.count - 1].bytes += UInt64(bytes.count)
    }

    /// Bytes from an offset on, which is kept; nothing at the end.
    func read(from offset: UInt64, limit: Int) throws -> [UInt8] {
        guard let part = parts.last(where: { $0.offset <= offset }), offset < part.offset + part.bytes,
            let file = try ReactorFile.reading("\(directory)/\(part.offset)")
        else { return [] }
        return try file.read(at: Int(offset - part.offset), count: min(limit, Int(part.offset + part.bytes - offset)))
    }
}
