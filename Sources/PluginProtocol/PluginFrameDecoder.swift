/// Cuts a stream of bytes into frames.
///
/// Holds at most one frame that is not complete, and what was given behind it: memory grows with what came, never with
/// what a length promises. After an error it gives nothing more.
package struct PluginFrameDecoder: Sendable {
    /// The longest frame that is taken: bytes behind the length.
    package var maximum: Int
    private var buffer: [UInt8] = []
    private var start = 0

    package init(maximum: Int = PluginFrame.defaultMaximum) { self.maximum = maximum }

    /// Bytes that are no whole frame yet.
    package var waiting: Int { buffer.count - start }

    package mutating func append(_ bytes: some Collection<UInt8>) {
        if start > 0, start == buffer.count || start > 1 << 16 {
            buffer.removeSubrange(..<start)
            start = 0
        }
        buffer.append(contentsOf: bytes)
    }

    /// The next whole frame; `nil` until more comes.
    ///
    /// - Throws: ``PluginError/Code/violation``, with the beginning of what is no frame.
    package mutating func next() throws(PluginError) -> PluginFrame? {
        guard waiting >= 4 else { return nil }
        let length = Int(buffer[start..<(start + 4)].reduce(UInt32(0)) { $0 << 8 | UInt32($1) })
        guard length >= 1, length <= maximum else {
            let what = length == 0 ? "an empty frame" : "a frame of \(length) bytes where at most \(maximum) are taken"
            throw PluginError(.violation, "\(what); it begins with: \(PluginText.escaped(buffer[start...]))")
        }
        guard waiting >= 4 + length else { return nil }
        let type = buffer[start + 4]
        let payload = Array(buffer[(start + 5)..<(start + 4 + length)])
        start += 4 + length
        switch type {
        case PluginFrame.messageType: return .message(payload)
        case PluginFrame.consoleType: return .console(try PluginConsoleBytes(payload))
        default: return .unknown(type: type, payload: payload)
        }
    }
}
