/// Takes the inner document out of an oslo.messaging envelope without parsing the outer one
/// (oslo.messaging wire, section 4).
package enum EnvelopeScan {
    /// Recognises `{"oslo.version": "2.0", "oslo.message": "…"}`, with any white space.
    ///
    /// - Returns: the inner document's bytes, not yet checked to be UTF-8; `nil` for anything unusual, which a
    ///   general reader must look at.
    package static func inner(_ bytes: Span<UInt8>) -> [UInt8]? {
        var position = 0
        guard take("{", bytes, &position), take("\"oslo.version\"", bytes, &position), take(":", bytes, &position),
            take("\"2.0\"", bytes, &position), take(",", bytes, &position),
            take("\"oslo.message\"", bytes, &position), take(":", bytes, &position), take("\"", bytes, &position)
        else { return nil }
        var content: [UInt8] = []
        do {
            position = try JSONUnescape.string(
                bytes,
                from: position,
                replaceLoneSurrogates: false,
                isRest: true,
                into: &content
            )
        } catch {
            return nil
        }
        guard take("}", bytes, &position) else { return nil }
        skipSpace(bytes, &position)
        return position == bytes.count ? content : nil
    }

    @inline(__always)
    private static func take(_ text: StaticString, _ bytes: Span<UInt8>, _ position: inout Int) -> Bool {
        skipSpace(bytes, &position)
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
    private static func skipSpace(_ bytes: Span<UInt8>, _ position: inout Int) {
        while position < bytes.count, [0x20, 0x0A, 0x0D, 0x09].contains(bytes[position]) { position += 1 }
    }
}
