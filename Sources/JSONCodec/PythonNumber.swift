/// Doubles as Python's `repr` writes them: the shortest text that reads back the same, with an exponent from 1e+16 up
/// and below 1e-04 (oslo.messaging wire, section 16).
enum PythonNumber {
    /// - Parameter value: finite.
    static func text(_ value: Double) -> String {
        let text = value.description
        let size = value.magnitude
        // Swift's shortest form has the same digits and differs only in when it takes to exponents.
        if value == 0 || size >= 1e-3 && size < 1e15 { return text }
        return arranged(text, size)
    }

    private static func arranged(_ text: String, _ size: Double) -> String {
        var digits: [UInt8] = []
        var point = 0
        var exponent = 0
        var seenPoint = false
        var iterator = text.utf8.makeIterator()
        while let byte = iterator.next() {
            switch byte {
            case UInt8(ascii: "-"): break
            case UInt8(ascii: "."): seenPoint = true
            case UInt8(ascii: "e"):
                var rest = ""
                while let byte = iterator.next() { rest.unicodeScalars.append(Unicode.Scalar(byte)) }
                exponent = Int(rest) ?? 0
            default:
                digits.append(byte)
                if !seenPoint { point += 1 }
            }
        }
        point += exponent
        let leading = digits.prefix { $0 == UInt8(ascii: "0") }.count
        digits.removeFirst(min(leading, digits.count - 1))
        point -= leading
        while digits.count > 1, digits.last == UInt8(ascii: "0") { digits.removeLast() }
        return (text.utf8.first == UInt8(ascii: "-") ? "-" : "") + joined(digits, point)
    }

    /// `0.<digits>` times ten to the power of `point`.
    private static func joined(_ digits: [UInt8], _ point: Int) -> String {
        let text = String(decoding: digits, as: UTF8.self)
        if point > 16 || point < -3 {
            let exponent = point - 1
            let size = String(abs(exponent))
            return text.prefix(1) + (digits.count > 1 ? "." + text.dropFirst() : "") + "e"
                + (exponent < 0 ? "-" : "+") + (size.utf8.count < 2 ? "0" : "") + size
        }
        if point <= 0 { return "0." + String(repeating: "0", count: -point) + text }
        if digits.count <= point { return text + String(repeating: "0", count: point - digits.count) + ".0" }
        return text.prefix(point) + "." + text.dropFirst(point)
    }
}
