import Support

/// A parser that reads what Python's `json` reads: JSON, and beside it NaN, infinities, integers of any size and
/// lone surrogates (each becomes U+FFFD).
///
/// Agrees with jansson wherever both accept a document. Nesting is limited, so its recursion is too.
struct PythonParser {
    private var position = 0
    private let maximumDepth: Int

    static func parse(_ bytes: Span<UInt8>, limits: JSONLimits) throws(JSONError) -> JSONValue {
        var parser = PythonParser(maximumDepth: limits.maximumDepth)
        parser.skipSpace(bytes)
        let value = try parser.value(bytes, room: limits.maximumDepth)
        parser.skipSpace(bytes)
        guard parser.position == bytes.count else { throw parser.syntax("text after the end of the value") }
        return value
    }

    /// Hands out the members of a document that is an object, in order, repeated keys included.
    static func forEachMember(
        of bytes: Span<UInt8>,
        limits: JSONLimits,
        _ body: (Span<UInt8>, JSONValue) -> Void
    ) throws(JSONError) -> Bool {
        var parser = PythonParser(maximumDepth: limits.maximumDepth)
        parser.skipSpace(bytes)
        guard parser.position < bytes.count, bytes[parser.position] == UInt8(ascii: "{") else {
            _ = try parse(bytes, limits: limits)
            return false
        }
        try parser.members(bytes, room: limits.maximumDepth, body)
        parser.skipSpace(bytes)
        guard parser.position == bytes.count else { throw parser.syntax("text after the end of the value") }
        return true
    }

    private init(maximumDepth: Int) { self.maximumDepth = maximumDepth }

    private mutating func value(_ bytes: Span<UInt8>, room: Int) throws(JSONError) -> JSONValue {
        guard position < bytes.count else { throw end("a value") }
        switch bytes[position] {
        case UInt8(ascii: "\""): return .string(try string(bytes))
        case UInt8(ascii: "{"): return .object(try object(bytes, room: room))
        case UInt8(ascii: "["): return .array(try array(bytes, room: room))
        case UInt8(ascii: "t"): return try literal(bytes, "true", .bool(true))
        case UInt8(ascii: "f"): return try literal(bytes, "false", .bool(false))
        case UInt8(ascii: "n"): return try literal(bytes, "null", .null)
        case UInt8(ascii: "N"): return try literal(bytes, "NaN", .double(.nan))
        case UInt8(ascii: "I"): return try literal(bytes, "Infinity", .double(.infinity))
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number(bytes)
        default: throw syntax("not the start of a value")
        }
    }

    private mutating func object(_ bytes: Span<UInt8>, room: Int) throws(JSONError) -> JSONObject {
        guard room > 0 else { throw tooDeep() }
        position += 1
        var object = JSONObject()
        skipSpace(bytes)
        if take(bytes, UInt8(ascii: "}")) { return object }
        while true {
            try expectName(bytes)
            let key = try string(bytes)
            try skipColon(bytes)
            object[key] = try value(bytes, room: room - 1)
            if try skipComma(bytes) { return object }
        }
    }

    private mutating func members(
        _ bytes: Span<UInt8>,
        room: Int,
        _ body: (Span<UInt8>, JSONValue) -> Void
    ) throws(JSONError) {
        guard room > 0 else { throw tooDeep() }
        position += 1
        skipSpace(bytes)
        if take(bytes, UInt8(ascii: "}")) { return }
        while true {
            try expectName(bytes)
            let run = ByteScan.plainRun(bytes, from: position + 1)
            if run.isASCII, run.end < bytes.count, bytes[run.end] == UInt8(ascii: "\"") {
                let key = bytes.extracting((position + 1)..<run.end)
                position = run.end + 1
                try skipColon(bytes)
                body(key, try value(bytes, room: room - 1))
            } else {
                let key = try string(bytes)
                try skipColon(bytes)
                body(key.utf8.span, try value(bytes, room: room - 1))
            }
            if try skipComma(bytes) { return }
        }
    }

    private func expectName(_ bytes: Span<UInt8>) throws(JSONError) {
        guard position < bytes.count else { throw end("a member's name") }
        guard bytes[position] == UInt8(ascii: "\"") else { throw syntax("not a member's name") }
    }

    private mutating func skipColon(_ bytes: Span<UInt8>) throws(JSONError) {
        skipSpace(bytes)
        guard take(bytes, UInt8(ascii: ":")) else { throw missing(bytes, "a colon") }
        skipSpace(bytes)
    }

    /// Steps over what follows a member; whether it was the object's last.
    private mutating func skipComma(_ bytes: Span<UInt8>) throws(JSONError) -> Bool {
        skipSpace(bytes)
        if take(bytes, UInt8(ascii: "}")) { return true }
        guard take(bytes, UInt8(ascii: ",")) else { throw missing(bytes, "a comma or a closing brace") }
        skipSpace(bytes)
        return false
    }

    private mutating func array(_ bytes: Span<UInt8>, room: Int) throws(JSONError) -> [JSONValue] {
        guard room > 0 else { throw tooDeep() }
        position += 1
        var elements: [JSONValue] = []
        skipSpace(bytes)
        if take(bytes, UInt8(ascii: "]")) { return elements }
        while true {
            elements.append(try value(bytes, room: room - 1))
            skipSpace(bytes)
            if take(bytes, UInt8(ascii: "]")) { return elements }
            guard take(bytes, UInt8(ascii: ",")) else { throw missing(bytes, "a comma or a closing bracket") }
            skipSpace(bytes)
        }
    }

    private mutating func literal(
        _ bytes: Span<UInt8>,
        _ text: StaticString,
        _ value: JSONValue
    ) throws(JSONError) -> JSONValue {
        guard starts(bytes, text) else { throw syntax("not the start of a value") }
        position += text.utf8CodeUnitCount
        return value
    }

    private mutating func string(_ bytes: Span<UInt8>) throws(JSONError) -> String {
        position += 1
        let start = position
        let run = ByteScan.plainRun(bytes, from: start)
        if run.end < bytes.count, bytes[run.end] == UInt8(ascii: "\"") {
            position = run.end + 1
            return try Self.text(bytes.extracting(start..<run.end), isASCII: run.isASCII, at: start)
        }
        var content: [UInt8] = []
        position = try JSONUnescape.string(bytes, from: start, replaceLoneSurrogates: true, into: &content)
        return try Self.text(content.span, isASCII: false, at: start)
    }

    private static func text(_ bytes: Span<UInt8>, isASCII: Bool, at position: Int) throws(JSONError) -> String {
        if isASCII { return String(copying: UTF8Span(unchecked: bytes, isKnownASCII: true)) }
        do {
            return String(copying: try UTF8Span(validating: bytes))
        } catch {
            throw JSONError(.invalidUTF8, at: position, "a string is not UTF-8")
        }
    }

    private mutating func skipSpace(_ bytes: Span<UInt8>) {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }

    private mutating func take(_ bytes: Span<UInt8>, _ byte: UInt8) -> Bool {
        guard position < bytes.count, bytes[position] == byte else { return false }
        position += 1
        return true
    }

    private func starts(_ bytes: Span<UInt8>, _ text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard count <= bytes.count - position else { return false }
        return text.withUTF8Buffer { buffer in
            for offset in 0..<count where bytes[position + offset] != buffer[offset] { return false }
            return true
        }
    }
}

// MARK: - Numbers

extension PythonParser {
    private mutating func number(_ bytes: Span<UInt8>) throws(JSONError) -> JSONValue {
        let start = position
        let negative = take(bytes, UInt8(ascii: "-"))
        if negative, position < bytes.count, bytes[position] == UInt8(ascii: "I") {
            return try literal(bytes, "Infinity", .double(-.infinity))
        }
        guard let first = digit(bytes) else { throw missing(bytes, "a digit") }
        var magnitude = UInt64(first)
        var overflow = false
        position += 1
        if first != 0 {
            while let digit = digit(bytes) {
                let (product, high) = magnitude.multipliedReportingOverflow(by: 10)
                let (sum, carry) = product.addingReportingOverflow(UInt64(digit))
                overflow = overflow || high || carry
                magnitude = sum
                position += 1
            }
        }
        if try skipFraction(bytes) { return .double(try real(bytes, start)) }
        if !overflow {
            if negative, magnitude <= UInt64(Int64.max) + 1 { return .int(Int64(truncatingIfNeeded: 0 &- magnitude)) }
            if !negative, magnitude <= UInt64(Int64.max) { return .int(Int64(magnitude)) }
        }
        return .bigInteger(try Self.text(bytes.extracting(start..<position), isASCII: true, at: start))
    }

    /// Steps over fraction and exponent; whether there was one.
    private mutating func skipFraction(_ bytes: Span<UInt8>) throws(JSONError) -> Bool {
        var isReal = false
        if take(bytes, UInt8(ascii: ".")) {
            isReal = true
            try skipDigits(bytes)
        }
        if take(bytes, UInt8(ascii: "e")) || take(bytes, UInt8(ascii: "E")) {
            isReal = true
            if !take(bytes, UInt8(ascii: "+")) { _ = take(bytes, UInt8(ascii: "-")) }
            try skipDigits(bytes)
        }
        return isReal
    }

    private mutating func skipDigits(_ bytes: Span<UInt8>) throws(JSONError) {
        guard digit(bytes) != nil else { throw missing(bytes, "a digit") }
        while digit(bytes) != nil { position += 1 }
    }

    /// Beyond the range of doubles: infinite or zero, as Python has it.
    private func real(_ bytes: Span<UInt8>, _ start: Int) throws(JSONError) -> Double {
        let text = try Self.text(bytes.extracting(start..<position), isASCII: true, at: start)
        guard let value = Double(text) else { throw JSONError(.syntax, at: start, "not a number") }
        return value
    }

    private func digit(_ bytes: Span<UInt8>) -> UInt8? {
        guard position < bytes.count else { return nil }
        let value = bytes[position] &- UInt8(ascii: "0")
        return value < 10 ? value : nil
    }
}

// MARK: - Errors

extension PythonParser {
    private func syntax(_ message: String) -> JSONError { JSONError(.syntax, at: position, message) }

    private func end(_ wanted: String) -> JSONError {
        JSONError(.truncated, at: position, "the document ends where \(wanted) is due")
    }

    private func missing(_ bytes: Span<UInt8>, _ wanted: String) -> JSONError {
        position < bytes.count ? syntax("\(wanted) is missing") : end(wanted)
    }

    private func tooDeep() -> JSONError {
        JSONError(.tooDeep, at: position, "more than \(maximumDepth) nested arrays and objects")
    }
}
