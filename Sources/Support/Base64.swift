/// Base64 with the standard alphabet and padding, as Python's `base64` writes it.
package enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    private static let values: [UInt8] = {
        var values = [UInt8](repeating: 0xFF, count: 256)
        for (value, symbol) in alphabet.enumerated() { values[Int(symbol)] = UInt8(value) }
        return values
    }()

    package static func encode(_ bytes: some Collection<UInt8>) -> String {
        var output: [UInt8] = []
        output.reserveCapacity((bytes.count + 2) / 3 * 4)
        var group: UInt32 = 0
        var filled = 0
        for byte in bytes {
            group = group << 8 | UInt32(byte)
            filled += 1
            if filled == 3 {
                for shift in [18, 12, 6, 0] as [UInt32] { output.append(alphabet[Int(group >> shift & 63)]) }
                (group, filled) = (0, 0)
            }
        }
        if filled > 0 {
            group <<= UInt32(8 * (3 - filled))
            for index in 0..<4 {
                let padding = index > filled
                output.append(padding ? UInt8(ascii: "=") : alphabet[Int(group >> UInt32(18 - 6 * index) & 63)])
            }
        }
        return String(decoding: output, as: UTF8.self)
    }

    /// `nil` for text that is not base64; line feeds are skipped.
    package static func decode(_ text: String) -> [UInt8]? {
        var output: [UInt8] = []
        output.reserveCapacity(text.utf8.count / 4 * 3)
        var group: UInt32 = 0
        var filled = 0
        var padding = 0
        for symbol in text.utf8 where symbol != UInt8(ascii: "\n") && symbol != UInt8(ascii: "\r") {
            if symbol == UInt8(ascii: "=") {
                padding += 1
                group <<= 6
            } else {
                let value = values[Int(symbol)]
                guard value != 0xFF, padding == 0 else { return nil }
                group = group << 6 | UInt32(value)
            }
            filled += 1
            guard filled == 4 else { continue }
            guard padding < 3 else { return nil }
            for index in 0..<(3 - padding) { output.append(UInt8(truncatingIfNeeded: group >> UInt32(16 - 8 * index))) }
            (group, filled) = (0, 0)
        }
        return filled == 0 ? output : nil
    }
}
