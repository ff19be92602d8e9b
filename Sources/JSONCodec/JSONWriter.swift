package import Support

/// Writes JSON in one pass, also documents that stand as strings inside other documents.
///
/// Text of an inner document is escaped while it is written, once for every document around it, so nothing is
/// copied from layer to layer. The writer keeps the commas; it does not check that arrays and objects are closed.
/// After an error what was written is worthless.
package struct JSONWriter: ~Copyable {
    /// How the text looks.
    package enum Style: Sendable {
        /// As Python's `json.dumps` writes it: blanks behind commas and colons, ASCII only.
        case python
        /// No blanks, UTF-8.
        case compact
    }

    private var output: ByteOutput
    private let style: Style
    /// How many strings are open around the document being written.
    private var level = 0
    private var needsComma = false

    /// - Parameter capacity: room that is reserved at the start, in bytes.
    package init(_ style: Style = .python, capacity: Int = 256) {
        self.style = style
        output = ByteOutput(capacity: capacity)
    }

    /// What was written so far.
    package var bytes: [UInt8] { output.bytes }
    /// How many bytes that is.
    package var count: Int { output.count }

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
        output.reserve(2)
        output.append(UInt8(ascii: ":"))
        if style == .python { output.append(UInt8(ascii: " ")) }
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
        let (length, comma) = (output.count, needsComma)
        do {
            try write(value)
        } catch {
            output.truncate(to: length)
            needsComma = comma
            write(text)
        }
    }

    /// The next value: a string that holds the document `body` writes.
    package mutating func string<Failure: Error>(
        holding body: (inout JSONWriter) throws(Failure) -> Void
    ) throws(Failure) {
        separate()
        reserve(0)
        quoteMark()
        level += 1
        needsComma = false
        try body(&self)
        level -= 1
        reserve(0)
        quoteMark()
        needsComma = true
    }

    /// Text that is already as it must stand here, escapes of all layers included.
    package mutating func append(_ text: StaticString) {
        output.append(text)
    }

    /// Sixteen hexadecimal digits.
    package mutating func append(hex value: UInt64) {
        let digits = (Self.hexDigits(value >> 32).byteSwapped, Self.hexDigits(value & 0xFFFF_FFFF).byteSwapped)
        output.reserve(16)
        output.append(word: digits.0, 8)
        output.append(word: digits.1, 8)
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
        case .bigInteger(let digits): output.append(digits.utf8.span)
        case .double(let value): try write(double: value)
        case .string(let text): quote(text)
        case .array(let elements):
            guard room > 0 else { throw tooDeep() }
            open(UInt8(ascii: "["))
            let elements = elements.span
            for index in elements.indices { try write(elements[index], room: room - 1) }
            end(UInt8(ascii: "]"))
        case .object(let object):
            guard room > 0 else { throw tooDeep() }
            open(UInt8(ascii: "{"))
            // An iterator would hand out a copy of each.
            let all = object.elements
            let members = all.span
            for index in members.indices {
                key(members[index].key)
                try write(members[index].value, room: room - 1)
            }
            end(UInt8(ascii: "}"))
        }
    }

    private mutating func begin(_ bracket: UInt8) {
        separate()
        open(bracket)
    }

    private mutating func open(_ bracket: UInt8) {
        output.reserve(1)
        output.append(bracket)
        needsComma = false
    }

    private mutating func end(_ bracket: UInt8) {
        output.reserve(1)
        output.append(bracket)
        needsComma = true
    }

    @inline(__always)
    private mutating func separate() {
        if needsComma {
            output.reserve(2)
            output.append(UInt8(ascii: ","))
            if style == .python { output.append(UInt8(ascii: " ")) }
        }
        needsComma = true
    }

    private func tooDeep() -> JSONError {
        JSONError(.tooDeep, at: output.count, "more than \(JSONLimits.writingDepth) nested arrays and objects")
    }

    private mutating func write(integer value: Int64) {
        output.reserve(20)
        if value < 0 { output.append(UInt8(ascii: "-")) }
        var rest = value.magnitude
        let first = output.count
        repeat {
            let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
            output.append(UInt8(ascii: "0") + UInt8(digit))
            rest = quotient
        } while rest > 0
        output.reverse(from: first)
    }

    private mutating func write(double value: Double) throws(JSONError) {
        guard value.isFinite else {
            throw JSONError(.notFinite, at: output.count, "a number that is not finite has no JSON form")
        }
        output.append(PythonNumber.text(value).utf8.span)
    }

    // MARK: Strings

    private mutating func quote(_ text: String) {
        let bytes = text.utf8.span
        reserve(bytes.count)
        quoteMark()
        escape(bytes)
        quoteMark()
    }

    /// Room for so many bytes of text that stand as they are, whole words at a time, one escape, and a quote.
    @inline(__always)
    private mutating func reserve(_ count: Int) {
        output.reserve(count + 8 + 4 * ((1 << level) + 6))
    }

    private mutating func escape(_ text: Span<UInt8>) {
        var position = 0
        while position < text.count {
            if position &+ 8 <= text.count {
                let word = ByteScan.word(text, position)
                let marks = style == .python ? ByteScan.specialOrNotASCII(word) : ByteScan.special(word)
                let length = marks == 0 ? 8 : ByteScan.before(marks)
                output.append(word: word, length)
                position &+= length
                if marks == 0 { continue }
            }
            let rest = text.count &- position
            if rest < 8, text.count >= 8 {
                // The last bytes, with zeros behind them, which are marked.
                let word = ByteScan.word(text, text.count &- 8) >> UInt64((8 &- rest) &* 8)
                let marks = style == .python ? ByteScan.specialOrNotASCII(word) : ByteScan.special(word)
                let length = ByteScan.before(marks)
                output.append(word: word, length)
                position &+= length
                if length == rest { return }
            }
            let byte = text[position]
            if byte == 0x22 || byte == 0x5C || byte < 0x20 || (style == .python && byte >= 0x7F) {
                position &+= escapeOne(text, position)
                reserve(text.count - position)
            } else {
                output.append(byte)
                position &+= 1
            }
        }
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
        output.append(letter)
    }

    private mutating func unicode(_ unit: UInt32) {
        backslash()
        output.append(UInt8(ascii: "u"))
        append(hexDigit: UInt64(unit >> 12))
        append(hexDigit: UInt64(unit >> 8))
        append(hexDigit: UInt64(unit >> 4))
        append(hexDigit: UInt64(unit))
    }

    private mutating func append(hexDigit value: UInt64) {
        let digit = UInt8(truncatingIfNeeded: value & 0xF)
        output.append(digit < 10 ? 0x30 + digit : 0x57 + digit)
    }

    /// A backslash as it stands under the strings that are open.
    @inline(__always)
    private mutating func backslash() {
        for _ in 0..<(1 << level) { output.append(UInt8(ascii: "\\")) }
    }

    @inline(__always)
    private mutating func quoteMark() {
        // Nearly everything stands one string deep.
        if level == 1 { return output.append(word: 0x225C, 2) }
        if level > 0 { for _ in 1..<(1 << level) { output.append(UInt8(ascii: "\\")) } }
        output.append(UInt8(ascii: "\""))
    }
}
