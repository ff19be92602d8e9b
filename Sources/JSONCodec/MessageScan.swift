import Support

/// Takes apart the object that a message is: its own members are plain strings, literals and small numbers, which are
/// read where they stand; arrays, objects and everything unusual go to jansson. Near the end of a message arrays and
/// objects that hold nothing else are read here too: to start jansson for those costs more than to read them.
///
/// What is read here is what jansson would have read; whatever is not plain is left to it, errors included.
enum MessageScan {
    /// Hands out the members in order, repeated keys included.
    ///
    /// - Returns: false when a general reader must look at the document. Members handed out before that come again.
    static func forEachMember(
        of bytes: Span<UInt8>,
        limits: JSONLimits,
        _ body: (Span<UInt8>, JSONValue) -> Void
    ) -> Bool {
        var position = 0
        guard limits.maximumDepth > 0, take(UInt8(ascii: "{"), bytes, &position) else { return false }
        skipSpace(bytes, &position)
        guard position < bytes.count, bytes[position] != UInt8(ascii: "}") else { return false }
        while true {
            skipSpace(bytes, &position)
            guard let key = plainString(bytes, &position), take(UInt8(ascii: ":"), bytes, &position) else {
                return false
            }
            skipSpace(bytes, &position)
            guard let value = value(bytes, &position, room: limits.maximumDepth - 1) else { return false }
            body(bytes.extracting(key), value)
            skipSpace(bytes, &position)
            guard position < bytes.count else { return false }
            let byte = bytes[position]
            position += 1
            if byte == UInt8(ascii: ",") { continue }
            guard byte == UInt8(ascii: "}") else { return false }
            skipSpace(bytes, &position)
            return position == bytes.count
        }
    }

    /// An array or object is tried here first when no more than so many bytes are left: what comes of a longer one is
    /// too much to be thrown away at the first byte that is not plain.
    private static let nestedRest = 1024

    @inline(__always)
    private static func value(_ bytes: Span<UInt8>, _ position: inout Int, room: Int) -> JSONValue? {
        if let plain = plain(bytes, &position) { return plain }
        if bytes.count - position <= nestedRest {
            let start = position
            if let nested = nested(bytes, &position, room: room) { return nested }
            position = start
        }
        guard position < bytes.count else { return nil }
        do {
            let (value, length) = try JanssonReader.first(of: bytes.extracting(position..<bytes.count), room: room)
            position += length
            return value
        } catch {
            return nil
        }
    }

    /// An array or object of plain values and of such arrays and objects; the position is anywhere if it is none.
    private static func nested(_ bytes: Span<UInt8>, _ position: inout Int, room: Int) -> JSONValue? {
        guard room > 0, position < bytes.count else { return nil }
        switch bytes[position] {
        case UInt8(ascii: "{"):
            position += 1
            var object = JSONObject()
            if take(UInt8(ascii: "}"), bytes, &position) { return .object(object) }
            repeat {
                skipSpace(bytes, &position)
                guard let key = plainString(bytes, &position), take(UInt8(ascii: ":"), bytes, &position),
                    let value = element(bytes, &position, room: room)
                else { return nil }
                object.set(String(copying: UTF8Span(unchecked: bytes.extracting(key), isKnownASCII: true)), value)
            } while take(UInt8(ascii: ","), bytes, &position)
            return take(UInt8(ascii: "}"), bytes, &position) ? .object(object) : nil
        case UInt8(ascii: "["):
            position += 1
            var elements: [JSONValue] = []
            if take(UInt8(ascii: "]"), bytes, &position) { return .array(elements) }
            repeat {
                guard let value = element(bytes, &position, room: room) else { return nil }
                elements.append(value)
            } while take(UInt8(ascii: ","), bytes, &position)
            return take(UInt8(ascii: "]"), bytes, &position) ? .array(elements) : nil
        default:
            return nil
        }
    }

    private static func element(_ bytes: Span<UInt8>, _ position: inout Int, room: Int) -> JSONValue? {
        skipSpace(bytes, &position)
        return plain(bytes, &position) ?? nested(bytes, &position, room: room - 1)
    }

    /// What is plain; steps over it only if it is.
    @inline(__always)
    private static func plain(_ bytes: Span<UInt8>, _ position: inout Int) -> JSONValue? {
        guard position < bytes.count else { return nil }
        switch bytes[position] {
        case UInt8(ascii: "\""):
            if let content = plainString(bytes, &position) {
                return .string(
                    String(copying: UTF8Span(unchecked: bytes.extracting(content), isKnownASCII: true))
                )
            }
        case UInt8(ascii: "n"): if take("null", bytes, &position) { return .null }
        case UInt8(ascii: "t"): if take("true", bytes, &position) { return .bool(true) }
        case UInt8(ascii: "f"): if take("false", bytes, &position) { return .bool(false) }
        case UInt8(ascii: "0")...UInt8(ascii: "9"): if let value = smallInteger(bytes, &position) { return .int(value) }
        default: break
        }
        return nil
    }

    /// The bytes between the quotes of a string that is ASCII without escapes; steps over it only if it is one.
    @inline(__always)
    private static func plainString(_ bytes: Span<UInt8>, _ position: inout Int) -> Range<Int>? {
        guard position < bytes.count, bytes[position] == UInt8(ascii: "\"") else { return nil }
        let run = ByteScan.plainRun(bytes, from: position + 1)
        guard run.isASCII, run.end < bytes.count, bytes[run.end] == UInt8(ascii: "\"") else { return nil }
        defer { position = run.end + 1 }
        return (position + 1)..<run.end
    }

    /// Up to eighteen digits that something else than a fraction or an exponent follows.
    private static func smallInteger(_ bytes: Span<UInt8>, _ position: inout Int) -> Int64? {
        var value: Int64 = 0
        var end = position
        while end < bytes.count, end - position < 18 {
            let digit = bytes[end] &- UInt8(ascii: "0")
            guard digit < 10 else { break }
            value = value * 10 + Int64(digit)
            end += 1
        }
        let count = end - position
        guard end < bytes.count, count == 1 || bytes[position] != UInt8(ascii: "0") else { return nil }
        switch bytes[end] {
        case UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"), UInt8(ascii: "0")...UInt8(ascii: "9"): return nil
        default: break
        }
        position = end
        return value
    }

    @inline(__always)
    private static func take(_ text: StaticString, _ bytes: Span<UInt8>, _ position: inout Int) -> Bool {
        let count = text.utf8CodeUnitCount
        guard count <= bytes.count - position else { return false }
        let start = position
        let same = text.withUTF8Buffer { buffer in
            for offset in 0..<count where bytes[start + offset] != buffer[offset] { return false }
            return true
        }
        if same { position += count }
        return same
    }

    @inline(__always)
    private static func take(_ byte: UInt8, _ bytes: Span<UInt8>, _ position: inout Int) -> Bool {
        skipSpace(bytes, &position)
        guard position < bytes.count, bytes[position] == byte else { return false }
        position += 1
        return true
    }

    @inline(__always)
    private static func skipSpace(_ bytes: Span<UInt8>, _ position: inout Int) {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }
}
