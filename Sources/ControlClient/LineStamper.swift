/// Puts a stamp before every line of a stream of bytes; a line that comes in pieces gets the one of its first byte.
package struct LineStamper: Sendable {
    private var isAtLineStart = true

    package init() {}

    /// - Parameter stamp: for the lines that begin in this piece.
    package mutating func take(_ bytes: [UInt8], stamp: String) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count + 32)
        for byte in bytes {
            if isAtLineStart {
                output += stamp.utf8
                isAtLineStart = false
            }
            output.append(byte)
            if byte == UInt8(ascii: "\n") { isAtLineStart = true }
        }
        return output
    }
}
