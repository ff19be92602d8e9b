/// The checksum of IEEE 802.3, as zlib and Ethernet compute it.
package enum CRC32 {
    private static let table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { value, _ in value & 1 == 1 ? 0xEDB8_8320 ^ (value >> 1) : value >> 1 }
    }

    package static func of(_ bytes: some Sequence<UInt8>) -> UInt32 {
        let table = table
        return ~bytes.reduce(~UInt32(0)) { value, byte in
            table[Int(truncatingIfNeeded: (value ^ UInt32(byte)) & 0xFF)] ^ (value >> 8)
        }
    }
}
