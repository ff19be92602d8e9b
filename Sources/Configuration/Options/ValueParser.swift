import OsloMessaging

/// Turns texts into values, with complaints an operator can act on.
enum ValueParser {
    /// A century: longer times are mistakes, and this keeps `Duration` arithmetic far from overflow.
    static let longestSeconds = 3_155_760_000.0
    static let longestMilliseconds = 3_155_760_000_000

    /// oslo.config's words, in any case.
    static func boolean(_ text: String) throws(ValueError) -> Bool {
        switch text.lowercased() {
        case "true", "1", "on", "yes": return true
        case "false", "0", "off", "no": return false
        default: throw ValueError("\(quoted(text)) is not a boolean (true, false, yes, no, on, off, 1, 0)")
        }
    }

    static func integer(_ text: String, in range: ClosedRange<Int>) throws(ValueError) -> Int {
        guard let value = Int(text) else { throw ValueError("\(quoted(text)) is not an integer") }
        guard range.contains(value) else { throw ValueError(outside(text, bound(range))) }
        return value
    }

    static func number(_ text: String, in range: ClosedRange<Double>) throws(ValueError) -> Double {
        guard let value = Double(text), value.isFinite else { throw ValueError("\(quoted(text)) is not a number") }
        guard range.contains(value) else { throw ValueError(outside(text, bound(range))) }
        return value
    }

    static func list(_ text: String) -> [String] {
        text.split(separator: ",").map { String($0.trimmingWhitespace().withoutQuotes()) }.filter { !$0.isEmpty }
    }

    static func path(_ text: String) throws(ValueError) -> String {
        guard text.hasPrefix("/") else { throw ValueError("\(quoted(text)) is not an absolute path") }
        guard !text.utf8.contains(0) else { throw ValueError("a path cannot hold a NUL byte") }
        return text
    }

    /// Never quotes the URL, which may hold a password.
    static func transportURL(_ text: String) throws(ValueError) {
        do throws(TransportURLError) {
            _ = try TransportURL(text)
        } catch {
            throw ValueError(error.message)
        }
    }

    /// The text in quotes, cut to a length that fits a line.
    static func quoted(_ text: String) -> String {
        let shown = text.count > 80 ? text.prefix(80) + "…" : text[...]
        return "'" + shown.replacing("\n", with: "\\n") + "'"
    }

    private static func outside(_ text: String, _ bound: String) -> String { "\(quoted(text)) is not \(bound)" }

    static func bound(_ range: ClosedRange<Int>) -> String {
        switch (range.lowerBound == .min, range.upperBound == .max) {
        case (true, true): "an integer"
        case (false, true): "at least \(range.lowerBound)"
        case (true, false): "at most \(range.upperBound)"
        case (false, false): "between \(range.lowerBound) and \(range.upperBound)"
        }
    }

    static func bound(_ range: ClosedRange<Double>) -> String {
        "between \(short(range.lowerBound)) and \(short(range.upperBound))"
    }

    private static func short(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? String(Int(value)) : String(value)
    }
}
