import Logging

/// The JSON form: one object a line.
enum JSONLine {
    static func bytes(_ entry: LogEntry) -> [UInt8] {
        var line: [UInt8] = []
        line.reserveCapacity(320)
        line.append(contentsOf: #"{"time":""#.utf8)
        entry.time.append(to: &line)
        line.append(contentsOf: #"","level":""#.utf8)
        line.append(contentsOf: entry.level.rawValue.utf8)
        line.append(contentsOf: #"","logger":"#.utf8)
        LineText.appendQuoted(entry.label, to: &line)
        line.append(contentsOf: #","message":"#.utf8)
        LineText.appendQuoted(entry.message, to: &line)
        if !entry.metadata.isEmpty {
            line.append(contentsOf: #","metadata":"#.utf8)
            append(.dictionary(entry.metadata), to: &line)
        }
        line.append(UInt8(ascii: "}"))
        line.append(UInt8(ascii: "\n"))
        return line
    }

    private static func append(_ value: Logger.MetadataValue, to line: inout [UInt8]) {
        switch value {
        case .string(let text): LineText.appendQuoted(text, to: &line)
        case .stringConvertible(let convertible): append(convertible, to: &line)
        case .array(let values):
            line.append(UInt8(ascii: "["))
            for (position, value) in values.enumerated() {
                if position > 0 { line.append(UInt8(ascii: ",")) }
                append(value, to: &line)
            }
            line.append(UInt8(ascii: "]"))
        case .dictionary(let values):
            line.append(UInt8(ascii: "{"))
            for (position, (key, value)) in values.sorted(by: { $0.key < $1.key }).enumerated() {
                if position > 0 { line.append(UInt8(ascii: ",")) }
                LineText.appendQuoted(key, to: &line)
                line.append(UInt8(ascii: ":"))
                append(value, to: &line)
            }
            line.append(UInt8(ascii: "}"))
        }
    }

    /// Numbers and booleans stay what they are, everything else becomes text.
    private static func append(_ value: any CustomStringConvertible, to line: inout [UInt8]) {
        switch value {
        case is Bool, is any FixedWidthInteger: line.append(contentsOf: value.description.utf8)
        case let number as Double where number.isFinite: line.append(contentsOf: number.description.utf8)
        default: LineText.appendQuoted(value.description, to: &line)
        }
    }
}
