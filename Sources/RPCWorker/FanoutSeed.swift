import Support

/// Names the fan-out queues of a process: at random, and yet the same for a process that goes on in its place.
enum FanoutSeed {
    /// 32 hexadecimal digits, as oslo.messaging has them there: FNV-1a of 128 bits.
    static func id(_ seed: String, topic: String, server: String) -> String {
        var hash: UInt128 = 0x6C62_272E_07BB_0142_62B8_2175_6295_C58D
        for byte in "\(seed)\n\(topic)\n\(server)".utf8 {
            hash = (hash ^ UInt128(byte)) &* 0x0000_0000_0100_0000_0000_0000_0000_013B
        }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 32 - digits.utf8.count) + digits
    }
}
