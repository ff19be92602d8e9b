/// Cuts a stream into lines.
struct QMPLines: Sendable {
    /// The longest line, in bytes (QEMU backend, section 14).
    static let maximumLine = 16 << 20

    /// What came and belongs to no whole line yet; new bytes are added to it.
    var bytes: [UInt8] = []
    private var scanned = 0

    var isTooLong: Bool { bytes.count > Self.maximumLine }

    /// The whole lines that came, without their ends.
    mutating func take() -> [ArraySlice<UInt8>] {
        guard let end = bytes[scanned...].lastIndex(of: UInt8(ascii: "\n")) else {
            scanned = bytes.count
            return []
        }
        let lines = bytes[..<end].split(separator: UInt8(ascii: "\n"))
        bytes.removeSubrange(...end)
        scanned = bytes.count
        return lines
    }
}
