package import Support

/// What a request's `_timeout` says (oslo.messaging wire, section 9).
package enum CallMonitoring {
    /// Larger values are taken as this one, about 68 years.
    private static let longest = Int64(Int32.max)

    /// The seconds after which the caller gives up without a heartbeat: the value as Python's `int()` takes it.
    ///
    /// - Returns: `nil` for null, anything falsy, and what is not a number.
    package static func timeout(_ value: JSONValue?) -> Int? {
        let seconds: Int64? =
            switch value {
            case .int(let value): value
            case .bigInteger(let digits): digits.hasPrefix("-") ? 0 : longest
            case .double(let value): value.isFinite ? Int64(exactly: clamped(value).rounded(.towardZero)) : nil
            case .bool(let value): value ? 1 : 0
            case .string(let text): Int64(trimmed(text))
            default: nil
            }
        guard let seconds, seconds != 0 else { return nil }
        return Int(min(max(seconds, -longest), longest))
    }

    /// How often a heartbeat is due: half the timeout; `nil` when that is under a second: no heartbeats then.
    package static func heartbeatInterval(_ timeout: Int?) -> Duration? {
        guard let timeout, timeout >= 2 else { return nil }
        return .milliseconds(Int64(timeout) * 500)
    }

    private static func clamped(_ value: Double) -> Double {
        min(max(value, -Double(longest)), Double(longest))
    }

    private static func trimmed(_ text: String) -> Substring {
        let isSpace = { (byte: Character) in byte.isWhitespace }
        guard let first = text.firstIndex(where: { !isSpace($0) }), let last = text.lastIndex(where: { !isSpace($0) })
        else { return "" }
        return text[first...last]
    }
}
