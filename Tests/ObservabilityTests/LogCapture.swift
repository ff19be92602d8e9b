import Foundation
import Logging
import Observability

/// A sink into a file of its own and what was written there.
final class LogCapture: Sendable {
    let path: String
    let sink: LogSink
    let control = LogLevelControl(.trace)

    init(capacity: Int = LogSink.capacity) throws {
        path = NSTemporaryDirectory() + "vmops-log-\(UUID().uuidString)"
        sink = try LogSink(.file(path: path), capacity: capacity)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func logger(_ format: LineLogHandler.Format, label: String = "test") -> Logger {
        Logger(label: label) { label in
            LineLogHandler(label: label, format: format, sink: self.sink, level: self.control) {
                Timestamp(microsecondsSince1970: 1_767_225_599_000_001)
            }
        }
    }

    func lines() async throws -> [String] {
        await sink.flush()
        let text = try String(contentsOfFile: path, encoding: .utf8)
        return text.isEmpty ? [] : text.dropLast().components(separatedBy: "\n")
    }
}

/// A line of the text form taken apart by its documented rules.
struct ParsedLine: Equatable {
    var time = ""
    var level = ""
    var message = ""
    var fields: [String: String] = [:]

    init?(_ line: String) {
        var rest = Substring(line)
        func word() -> String {
            let word = rest.prefix { $0 != " " }
            rest = rest.dropFirst(word.count + 1)
            return String(word)
        }
        func quoted() -> String? {
            var end = rest.index(after: rest.startIndex)
            while end < rest.endIndex, rest[end] != "\"" {
                end = rest.index(after: end)
                if rest[rest.index(before: end)] == "\\" { end = rest.index(after: end) }
            }
            guard end < rest.endIndex else { return nil }
            let literal = rest[...end]
            rest = rest[rest.index(after: end)...].drop { $0 == " " }
            let options: JSONSerialization.ReadingOptions = .fragmentsAllowed
            return try? JSONSerialization.jsonObject(with: Data(literal.utf8), options: options) as? String
        }
        time = word()
        level = word()
        if rest.first == "\"" {
            guard let text = quoted() else { return nil }
            message = text
        } else {
            var words: [String] = []
            while !rest.isEmpty, !rest.prefix(while: { $0 != " " }).contains("=") { words.append(word()) }
            message = words.joined(separator: " ")
        }
        while let equals = rest.firstIndex(of: "=") {
            let key = String(rest[..<equals])
            rest = rest[rest.index(after: equals)...]
            guard let value = rest.first == "\"" ? quoted() : word() else { return nil }
            fields[key] = value
        }
        guard rest.isEmpty else { return nil }
    }
}
