import Support

/// One line of `console.idx`: the checksum of the rest in 8 hex digits, a letter, the fields.
///
/// A line that does not parse or whose checksum is wrong is skipped: losing the index, or part of it, costs marks and
/// the absolute count, never output.
enum IndexRecord: Hashable {
    /// The current segment starts at `offset`, unless the current file still has this inode: then it *ends* there,
    /// because the rotation that the record announces has not happened. Inode 0: without that exception.
    case start(offset: Int64, inode: UInt64)
    case mark(ConsoleMark)
    /// The moved log with this name was installed here.
    case installed(transfer: String)

    var line: String {
        let text =
            switch self {
            case .start(let offset, let inode): "S \(offset) \(inode)"
            case .mark(let mark): "M \(mark.offset) \(mark.time) \(mark.kind.rawValue) \(mark.dropped)"
            case .installed(let transfer): "I \(transfer)"
            }
        return Self.checksum(text) + " " + text + "\n"
    }

    init?(line: some StringProtocol) {
        let fields = line.split(separator: " ", omittingEmptySubsequences: false)
        guard fields.count >= 3, line.utf8.count > 9 else { return nil }
        let text = line[line.index(after: fields[0].endIndex)...]
        guard fields[0] == Self.checksum(String(text)) else { return nil }
        switch (fields[1], fields.count) {
        case ("S", 4):
            guard let offset = Int64(fields[2]), let inode = UInt64(fields[3]), offset >= 0 else { return nil }
            self = .start(offset: offset, inode: inode)
        case ("M", 6):
            guard let offset = Int64(fields[2]), let time = Int64(fields[3]), let dropped = Int64(fields[5]),
                let kind = ConsoleMarkKind(rawValue: String(fields[4]))
            else { return nil }
            self = .mark(ConsoleMark(kind: kind, offset: offset, time: time, dropped: dropped))
        case ("I", 3):
            self = .installed(transfer: String(fields[2]))
        default:
            return nil
        }
    }

    private static func checksum(_ text: String) -> String {
        let digits = String(CRC32.of(text.utf8), radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }
}

/// What is in an index file.
struct IndexContents {
    /// The newest ``IndexRecord/start(offset:inode:)``.
    var start: (offset: Int64, inode: UInt64)?
    var marks: [ConsoleMark] = []
    var transfer: String?
    var bytes = 0
    /// Whether the last line is whole; if not, the next record starts with a newline.
    var endsClean = true

    init(_ file: ReactorFile?) throws(SystemCallError) {
        guard let file else { return }
        bytes = try file.facts().size
        let content = try file.read(at: 0, count: min(bytes, 4 * SegmentStore.indexCap))
        endsClean = content.last.map { $0 == UInt8(ascii: "\n") } ?? true
        for line in String(decoding: content, as: UTF8.self).split(separator: "\n") {
            switch IndexRecord(line: line) {
            case .start(let offset, let inode): start = (offset, inode)
            case .mark(let mark): marks.append(mark)
            case .installed(let name): transfer = name
            case nil: continue
            }
        }
    }
}
