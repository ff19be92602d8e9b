/// Turns the inside of a JSON string into the bytes it stands for.
enum JSONUnescape {
    /// Reads from behind the opening quote up to and with the closing one.
    ///
    /// Bytes outside ASCII are taken as they are; whoever makes text of `content` checks them.
    /// - Parameters:
    ///   - replaceLoneSurrogates: write U+FFFD for them; else they are an error.
    ///   - isRest: the string is nearly all of the rest, so that its length need not be found out first.
    /// - Returns: the position behind the closing quote.
    static func string(
        _ bytes: Span<UInt8>,
        from start: Int,
        replaceLoneSurrogates: Bool,
        isRest: Bool = false,
        into content: inout [UInt8]
    ) throws(JSONError) -> Int {
        var position = start
        var failure: JSONError?
        // What an escape stands for is never longer than the escape.
        let capacity = isRest ? bytes.count - start + 8 : longest(bytes, from: start)
        content = [UInt8](unsafeUninitializedCapacity: capacity) { output, count in
            do throws(JSONError) {
                var writer = Output(buffer: output)
                position = try fill(&writer, bytes, position, replaceLoneSurrogates)
                count = writer.count
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return position
    }

    /// An upper bound for what comes out, with room for whole words.
    private static func longest(_ bytes: Span<UInt8>, from start: Int) -> Int {
        var position = start
        while true {
            position = ByteScan.plainRun(bytes, from: position).end
            guard position < bytes.count, bytes[position] == UInt8(ascii: "\\") else { break }
            position = min(position + 2, bytes.count)
        }
        return position - start + 8
    }

    /// Uninitialised bytes that are written from the front.
    private struct Output {
        let buffer: UnsafeMutableBufferPointer<UInt8>
        var count = 0

        init(buffer: UnsafeMutableBufferPointer<UInt8>) { self.buffer = buffer }

        @inline(__always)
        mutating func append(_ byte: UInt8) {
            buffer[count] = byte
            count &+= 1
        }

        /// Writes the word and keeps its first `length` bytes.
        @inline(__always)
        mutating func append(_ word: UInt64, _ length: Int) {
            // Safe: the capacity has eight bytes more than the input that is still to come.
            UnsafeMutableRawPointer(buffer.baseAddress.unsafelyUnwrapped + count)
                .storeBytes(of: word.littleEndian, as: UInt64.self)
            count &+= length
        }

        mutating func append(scalar: UInt32) {
            switch scalar {
            case 0..<0x80:
                append(UInt8(scalar))
            case 0x80..<0x800:
                append(UInt8(0xC0 | scalar >> 6))
                append(UInt8(0x80 | scalar & 0x3F))
            case 0x800..<0x10000:
                append(UInt8(0xE0 | scalar >> 12))
                append(UInt8(0x80 | scalar >> 6 & 0x3F))
                append(UInt8(0x80 | scalar & 0x3F))
            default:
                append(UInt8(0xF0 | scalar >> 18))
                append(UInt8(0x80 | scalar >> 12 & 0x3F))
                append(UInt8(0x80 | scalar >> 6 & 0x3F))
                append(UInt8(0x80 | scalar & 0x3F))
            }
        }
    }

    private static func fill(
        _ output: inout Output,
        _ bytes: Span<UInt8>,
        _ start: Int,
        _ replaceLoneSurrogates: Bool
    ) throws(JSONError) -> Int {
        var position = start
        while position < bytes.count {
            if position &+ 8 <= bytes.count {
                let word = ByteScan.word(bytes, position)
                let marks = ByteScan.special(word)
                let length = marks == 0 ? 8 : ByteScan.before(marks)
                output.append(word, length)
                position &+= length
                if marks == 0 { continue }
            }
            let byte = bytes[position]
            switch byte {
            case UInt8(ascii: "\""):
                return position + 1
            case UInt8(ascii: "\\"):
                try escape(&output, bytes, &position, replaceLoneSurrogates)
            case 0..<0x20:
                throw JSONError(.syntax, at: position, "a control character in a string")
            default:
                output.append(byte)
                position &+= 1
            }
        }
        throw JSONError(.truncated, at: position, "the document ends within a string")
    }

    @inline(__always)
    private static func escape(
        _ output: inout Output,
        _ bytes: Span<UInt8>,
        _ position: inout Int,
        _ replaceLoneSurrogates: Bool
    ) throws(JSONError) {
        guard position + 1 < bytes.count else {
            throw JSONError(.truncated, at: position, "the document ends within a string")
        }
        switch bytes[position + 1] {
        case UInt8(ascii: "\""): output.append(UInt8(ascii: "\""))
        case UInt8(ascii: "\\"): output.append(UInt8(ascii: "\\"))
        case UInt8(ascii: "/"): output.append(UInt8(ascii: "/"))
        case UInt8(ascii: "n"): output.append(0x0A)
        case UInt8(ascii: "t"): output.append(0x09)
        case UInt8(ascii: "r"): output.append(0x0D)
        case UInt8(ascii: "b"): output.append(0x08)
        case UInt8(ascii: "f"): output.append(0x0C)
        case UInt8(ascii: "u"):
            let (scalar, length) = try unicode(bytes, position, replaceLoneSurrogates)
            output.append(scalar: scalar)
            position &+= length
            return
        default:
            throw JSONError(.syntax, at: position, "an unknown escape in a string")
        }
        position &+= 2
    }

    /// The scalar that `\uXXXX` or a pair of them stands for, and the length of the escape.
    private static func unicode(
        _ bytes: Span<UInt8>,
        _ position: Int,
        _ replaceLoneSurrogates: Bool
    ) throws(JSONError) -> (scalar: UInt32, length: Int) {
        guard let unit = unit(bytes, position) else {
            throw JSONError(.syntax, at: position, "not four hexadecimal digits in an escape")
        }
        guard 0xD800...0xDFFF ~= unit else { return (unit, 6) }
        if unit < 0xDC00, let low = self.unit(bytes, position + 6), 0xDC00...0xDFFF ~= low {
            return (0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00), 12)
        }
        guard replaceLoneSurrogates else { throw JSONError(.syntax, at: position, "a lone surrogate in a string") }
        return (0xFFFD, 6)
    }

    /// The code unit of the escape at `position`, if there is a whole one.
    private static func unit(_ bytes: Span<UInt8>, _ position: Int) -> UInt32? {
        guard position + 6 <= bytes.count, bytes[position] == UInt8(ascii: "\\"),
            bytes[position + 1] == UInt8(ascii: "u")
        else { return nil }
        var unit: UInt32 = 0
        for offset in 2..<6 {
            let digit: UInt8
            switch bytes[position + offset] {
            case let byte where UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte: digit = byte - UInt8(ascii: "0")
            case let byte where UInt8(ascii: "a")...UInt8(ascii: "f") ~= byte: digit = byte - UInt8(ascii: "a") + 10
            case let byte where UInt8(ascii: "A")...UInt8(ascii: "F") ~= byte: digit = byte - UInt8(ascii: "A") + 10
            default: return nil
            }
            unit = unit << 4 | UInt32(digit)
        }
        return unit
    }
}
