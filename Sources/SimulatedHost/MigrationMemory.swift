import DiskTransfer

/// The memory of simulated guests on its way.
extension MigrationFrame {
    /// A block of a simulated guest's memory: its number, then what stands in it, which both sides can tell.
    static func memoryBlock(_ number: UInt64) -> [UInt8] {
        var word = (number &+ 1) &* 0x9E37_79B9_7F4A_7C15
        return [UInt8](unsafeUninitializedCapacity: blockBytes) { buffer, count in
            for place in 0..<blockBytes {
                if place & 7 == 0 {
                    word ^= word << 13
                    word ^= word >> 7
                    word ^= word << 17
                }
                buffer[place] =
                    place < 8
                    ? UInt8(truncatingIfNeeded: number >> UInt64(place * 8))
                    : UInt8(truncatingIfNeeded: word >> UInt64((place & 7) * 8))
            }
            count = blockBytes
        }
    }

    /// Blocks of memory that a guest of so many MB has written to: a page in 256.
    static func memoryBlocks(memoryMB: Int) -> UInt64 { UInt64(max(1, memoryMB * 4096 / blockBytes)) }
}
