package import Support

/// Writes JSON in one pass, also documents that stand as strings inside other documents.
///
/// Text of an inner document is escaped while it is written, once for every document around it, so nothing is
/// copied from layer to layer. The writer keeps the commas; it does not check that arrays and objects are closed.
/// After an error what was written is worthless.
package struct JSONWriter: Sendable {
    /// How the text looks.
    package enum Style: Sendable {
        /// As Python's `json.dumps` writes it: blanks behind commas and colons, ASCII only.
        case python
        /// No blanks, UTF-8.
        case compact
    }

    /// What was written so far.
    package private(set) var bytes: [UInt8] = []
    private let style: Style
    /// How many strings are open around the document being written.
    private var level = 0
    private var needsComma = false

    /// - Parameter capacity: room that is reserved at the start, in bytes.
    package init(_ style: Style = .python, capacity: Int = 256) {
        self.style = style
        bytes.reserveCapacity(capacity)
    }

    /// A whole document as bytes.
    ///
    /// - Throws: ``JSONError/Code/notFinite`` for NaN and infinities, ``JSONError/Code/tooDeep``.
    package static func bytes(of value: JSONValue, _ style: Style = .python) throws(JSONError) -> [UInt8] {
        var writer = JSONWriter(style)
        try writer.write(value)
        return writer.bytes
    }

    // MARK: Parts of a document

    package mutating func beginObject() { begin(UInt8(ascii: "{")) }
    package mutating func endObject() { end(UInt8(ascii: "}")) }
    package mutating func beginArray() { begin(UInt8(ascii: "[")) }
    package mutating func endArray() { end(UInt8(ascii: "]")) }

    /// The name of an object's next member; its value comes next.
    package mutating func key(_ name: String) {
        separate()
        quote(name)
        bytes.append(UInt8(ascii: ":"))
        if style == .python { bytes.append(UInt8(ascii: " ")) }
        needsComma = false
    }

    /// An object's next member.
    package mutating func member(_ name: String, _ value: JSONValue) throws(JSONError) {
        key(name)
        try write(value)
    }

    /// An object's next member, a string or null.
    package mutating func member(_ name: String, string value: String?) {
        key(name)
        if let value { write(value) } else { writeNull() }
    }

    /// The next value, a string.
    package mutating func write(_ text: String) {
        separate()
        quote(text)
    }

    /// The next value, null.
    package mutating func writeNull() {
        separate()
        append("null")
    }

    /// The next value, true or false.
    package mutating func write(_ value: Bool) {
        separate()
        append(value ? "true" : "false")
    }

    /// The next value.
    package mutating func write(_ value: JSONValue) throws(JSONError) {
        try write(value, room: JSONLimits.writingDepth)
    }

    /// The next value, or `text` in its place when the value has no JSON form.
    package mutating func write(_ value: JSONValue, otherwise text: String) {
        let (length, comma) = (bytes.count, needsComma)
        do {
            try write(value)
        } catch {
            bytes.removeLast(bytes.count - length)
            needsComma = comma
            write(text)
        }
    }

    /// The next value: a string that holds the document `body` writes.
    package mutating func string<Failure: Error>(
        holding body: (inout JSONWriter) throws(Failure) -> Void
    ) throws(Failure) {
        separate()
        quoteMark()
        level += 1
        needsComma = false
        try body(&self)
        level -= 1
        quoteMark()
        needsComma = true
    }

    /// Text that is already as it must stand here, escapes of all layers included.
    package mutating func append(_ text: StaticString) {
        text.withUTF8Buffer { bytes.append(contentsOf: $0) }
    }

    /// Sixteen hexadecimal digits.
    package mutating func append(hex value: UInt64) {
        let digits = (Self.hexDigits(value >> 32).bigEndian, Self.hexDigits(value & 0xFFFF_FFFF).bigEndian)
        withUnsafeBytes(of: digits) { bytes.append(contentsOf: $0) }
    }

    /// The eight digits of a 32-bit number, the first one in the highest byte.
    private static func hexDigits(_ value: UInt64) -> UInt64 {
        var nibbles = value
        nibbles = (nibbles & 0xFFFF_0000) << 16 | nibbles & 0xFFFF
        nibbles = (nibbles & 0x0000_FF00_0000_FF00) << 8 | nibbles & 0x0000_00FF_0000_00FF
        nibbles = (nibbles & 0x00F0_00F0_00F0_00F0) << 4 | nibbles & 0x000F_000F_000F_000F
        let letters = (nibbles + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
        return nibbles + 0x3030_3030_3030_3030 + letters * 0x27
    }

    /// Says that text given to ``append(_:)`` ended where a value is due.
    package mutating func next() { needsComma = false }

    /// Says that text given to ``append(_:)`` opened an inner document `levels` strings deep, where a value is due.
    package mutating func descend(_ levels: Int) {
        level += levels
        needsComma = false
    }

    // MARK: Values

    private mutating func write(_ value: JSONValue, room: Int) throws(JSONError) {
        separate()
        switch value {
        case .null: append("null")
        case .bool(true): append("true")
        case .bool(false): append("false")
        case .int(let value): write(integer: value)
        case .bigInteger(let digits): bytes.append(contentsOf: digits.utf8)
        case .double(let value): try write(double: value)
        case .string(let text): quote(text)
        case .array(let elements):
            guard room > 0 else { throw tooDeep() }
            open(UInt8(ascii: "["))
            for element in elements { try write(element, room: room - 1) }
            end(UInt8(ascii: "]"))
        case .object(let object):
            guard room > 0 else { throw tooDeep() }
            open(UInt8(ascii: "{"))
            for member in object {
                key(member.key)
                try write(member.value, room: room - 1)
            }
            end(UInt8(ascii: "}"))
        }
    }

    private mutating func begin(_ bracket: UInt8) {
        separate()
        open(bracket)
    }

    private mutating func open(_ bracket: UInt8) {
        bytes.append(bracket)
        needsComma = false
    }

    private mutating func end(_ bracket: UInt8) {
        bytes.append(bracket)
        needsComma = true
    }

    private mutating func separate() {
        if needsComma {
            bytes.append(UInt8(ascii: ","))
            if style == .python { bytes.append(UInt8(ascii: " ")) }
        }
        needsComma = true
    }

    private func tooDeep() -> JSONError {
        JSONError(.tooDeep, at: bytes.count, "more than \(JSONLimits.writingDepth) nested arrays and objects")
    }

    private mutating func write(integer value: Int64) {
        if 0..<10 ~= value {
            bytes.append(UInt8(ascii: "0") + UInt8(value))
        } else {
            bytes.append(contentsOf: String(value).utf8)
        }
    }

    private mutating func write(double value: Double) throws(JSONError) {
        guard value.isFinite else {
            throw JSONError(.notFinite, at: bytes.count, "a number that is not finite has no JSON form")
        }
        bytes.append(contentsOf: PythonNumber.text(value).utf8)
    }

    // MARK: Strings

    private mutating func quote(_ text: String) {
        var text = text
        quoteMark()
        // The text's bytes are used within the call only.
        text.withUTF8 { escape($0.span) }
        quoteMark()
    }

    private mutating func escape(_ text: Span<UInt8>) {
        var position = 0
        while position < text.count {
            let end = plainRun(text, from: position)
            if end > position {
                text.extracting(unchecked: position..<end).withUnsafeBufferPointer { bytes.append(contentsOf: $0) }
                position = end
            }
            guard position < text.count else { return }
            position += escapeOne(text, position)
        }
    }

    /// The end of the run of bytes from `start` that stand as they are.
    @inline(__always)
    private func plainRun(_ text: Span<UInt8>, from start: Int) -> Int {
        guard style == .python else { return ByteScan.plainRun(text, from: start).end }
        var position = start
        while position &+ 8 <= text.count {
            let marks = ByteScan.specialOrNotASCII(ByteScan.word(text, position))
            if marks != 0 { return position &+ ByteScan.before(marks) }
            position &+= 8
        }
        while position < text.count {
            let byte = text[position]
            if byte == 0x22 || byte == 0x5C || byte < 0x20 || byte >= 0x7F { break }
            position &+= 1
        }
        return position
    }

    /// Writes the escape of the character at `position`; returns its length in the text.
    private mutating func escapeOne(_ text: Span<UInt8>, _ position: Int) -> Int {
        let byte = text[position]
        switch byte {
        case UInt8(ascii: "\""):
            backslash()
            quoteMark()
        case UInt8(ascii: "\\"):
            backslash()
            backslash()
        case 0x0A: short(UInt8(ascii: "n"))
        case 0x0D: short(UInt8(ascii: "r"))
        case 0x09: short(UInt8(ascii: "t"))
        case 0x08: short(UInt8(ascii: "b"))
        case 0x0C: short(UInt8(ascii: "f"))
        case 0..<0x80:
            unicode(UInt32(byte))
        default:
            return escapeScalar(text, position)
        }
        return 1
    }

    private mutating func escapeScalar(_ text: Span<UInt8>, _ position: Int) -> Int {
        // Text of a Swift string is always valid UTF-8.
        let lead = UInt32(text[position])
        let length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4
        var scalar = lead & (length == 2 ? 0x1F : length == 3 ? 0x0F : 0x07)
        for offset in 1..<length { scalar = scalar << 6 | UInt32(text[position + offset] & 0x3F) }
        if scalar < 0x10000 {
            unicode(scalar)
        } else {
            unicode(0xD800 + (scalar - 0x10000) >> 10)
            unicode(0xDC00 + (scalar - 0x10000) & 0x3FF)
        }
        return length
    }

    private mutating func short(_ letter: UInt8) {
        backslash()
        bytes.append(letter)
    }

    private mutating func unicode(_ unit: UInt32) {
        backslash()
        bytes.append(UInt8(ascii: "u"))
        append(hexDigit: UInt64(unit >> 12))
        append(hexDigit: UInt64(unit >> 8))
        append(hexDigit: UInt64(unit >> 4))
        append(hexDigit: UInt64(unit))
    }

    private mutating func append(hexDigit value: UInt64) {
        let digit = UInt8(truncatingIfNeeded: value & 0xF)
        bytes.append(digit < 10 ? 0x30 + digit : 0x57 + digit)
    }

    /// A backslash as it stands under the strings that are open.
    @inline(__always)
    private mutating func backslash() {
        bytes.append(UInt8(ascii: "\\"))
        if level > 0 { for _ in 1..<(1 << level) { bytes.append(UInt8(ascii: "\\")) } }
    }

    @inline(__always)
    private mutating func quoteMark() {
        if level > 0 { for _ in 1..<(1 << level) { bytes.append(UInt8(ascii: "\\")) } }
        bytes.append(UInt8(ascii: "\""))
    }
}
