import Logging

/// The text form: `<time> <level> <message> key=value …`, keys sorted.
///
/// A message or value is put in quotes as soon as it holds anything but plain printable ASCII, so that the first
/// unquoted `=` always belongs to metadata: what a client sends cannot look like a line or a field of ours.
enum TextLine {
    static func bytes(_ entry: LogEntry) -> [UInt8] {
        var line: [UInt8] = []
        line.reserveCapacity(256)
        entry.time.append(to: &line)
        line.append(UInt8(ascii: " "))
        line.append(contentsOf: entry.level.rawValue.utf8)
        line.append(UInt8(ascii: " "))
        append(entry.message, allowingSpaces: true, to: &line)
        for (key, value) in entry.metadata.sorted(by: { $0.key < $1.key }) {
            line.append(UInt8(ascii: " "))
            line.append(contentsOf: LineText.key(key).utf8)
            line.append(UInt8(ascii: "="))
            append("\(value)", allowingSpaces: false, to: &line)
        }
        line.append(UInt8(ascii: "\n"))
        return line
    }

    private static func append(_ text: String, allowingSpaces: Bool, to line: inout [UInt8]) {
        if LineText.isPlain(text, allowingSpaces: allowingSpaces) {
            line.append(contentsOf: text.utf8)
        } else {
            LineText.appendQuoted(text, to: &line)
        }
    }
}
