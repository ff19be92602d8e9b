import CZlib

/// Decompression of bodies whose header says `application/x-gzip`: a zlib stream, or a gzip file
/// (oslo.messaging wire, section 3).
enum ZlibInflate {
    enum Failure: Error {
        case corrupt
        case tooLarge
    }

    /// Window of 32 KiB, with the format found out from the data.
    private static let windowBits: Int32 = 15 + 32
    private static let step = 16 << 10

    /// - Parameter limit: the most bytes that may come out; a stream that holds more is given up on there.
    static func inflate(_ bytes: Span<UInt8>, limit: Int) -> Result<[UInt8], Failure> {
        var stream = z_stream()
        guard vmops_inflate_init(&stream, windowBits) == Z_OK else { return .failure(.corrupt) }
        defer { inflateEnd(&stream) }
        // zlib reads through `next_in` only within this call, and does not write there.
        return bytes.withUnsafeBufferPointer { input in
            stream.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
            stream.avail_in = UInt32(clamping: input.count)
            return drain(&stream, limit: limit)
        }
    }

    private static func drain(_ stream: inout z_stream, limit: Int) -> Result<[UInt8], Failure> {
        var output: [UInt8] = []
        while true {
            var status = Z_OK
            let chunk = [UInt8](unsafeUninitializedCapacity: step) { buffer, count in
                stream.next_out = buffer.baseAddress
                stream.avail_out = UInt32(step)
                status = CZlib.inflate(&stream, Z_NO_FLUSH)
                count = step - Int(stream.avail_out)
            }
            guard status == Z_OK || status == Z_STREAM_END else { return .failure(.corrupt) }
            guard output.count + chunk.count <= limit else { return .failure(.tooLarge) }
            output.append(contentsOf: chunk)
            if status == Z_STREAM_END { return .success(output) }
            guard !chunk.isEmpty else { return .failure(.corrupt) }
        }
    }
}
