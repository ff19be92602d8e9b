import JSONCodec
import PluginProtocol
import Support
import Testing

@Suite struct FrameTests {
    private static func all(_ decoder: inout PluginFrameDecoder) throws -> [PluginFrame] {
        var frames: [PluginFrame] = []
        while let frame = try decoder.next() { frames.append(frame) }
        return frames
    }

    @Test func framesComeOutWhateverWayTheyAreCut() throws {
        let frames: [PluginFrame] = [
            .message(Array(#"{"kind":"ping","id":1}"#.utf8)),
            .console(PluginConsoleBytes(stream: 7, offset: 1 << 40, bytes: [0, 255, 10])),
            .unknown(type: 9, payload: []),
            .message([UInt8](repeating: 0x20, count: 70_000)),
        ]
        let bytes = frames.flatMap(\.bytes)
        for size in [1, 2, 3, 5, 7, 4096, bytes.count] {
            var decoder = PluginFrameDecoder()
            var found: [PluginFrame] = []
            for start in stride(from: 0, to: bytes.count, by: size) {
                decoder.append(bytes[start..<min(start + size, bytes.count)])
                found += try Self.all(&decoder)
            }
            #expect(found == frames)
            #expect(decoder.waiting == 0)
        }
    }

    @Test func aFrameAtTheLimitIsTakenAndALongerOneIsNot() throws {
        var decoder = PluginFrameDecoder(maximum: 100)
        decoder.append(PluginFrame.bytes(type: 5, [UInt8](repeating: 1, count: 99)))
        #expect(try decoder.next() != nil)
        decoder.append(PluginFrame.bytes(type: 5, [UInt8](repeating: 1, count: 100)))
        #expect(throws: PluginError.self) { try decoder.next() }
    }

    @Test func whatIsNoFrameIsShownEscapedAndCut() throws {
        var decoder = PluginFrameDecoder()
        decoder.append(Array("Traceback:\n\u{1B}[31m".utf8) + [UInt8](repeating: 0x41, count: 10_000))
        let error = #expect(throws: PluginError.self) { try decoder.next() }
        #expect(error?.code == .violation)
        let message = error?.message ?? ""
        #expect(message.contains(#"Traceback:\n\u{1b}[31m"#))
        #expect(message.utf8.count < 600)
    }

    @Test(
        arguments: [
            [0, 0, 0, 0], [255, 255, 255, 255, 1], [0, 0, 0, 3, 2, 0, 0],
            [0, 0, 0, 12, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
        ] as [[UInt8]]
    )
    func badFramesAreErrors(bytes: [UInt8]) {
        var decoder = PluginFrameDecoder()
        decoder.append(bytes)
        #expect(throws: PluginError.self) { while try decoder.next() != nil {} }
    }

    @Test func randomBytesNeverDoMoreThanFail() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<2000 {
            var decoder = PluginFrameDecoder(maximum: 4096)
            decoder.append((0..<Int.random(in: 0..<200)).map { _ in UInt8.random(in: 0...255, using: &generator) >> 3 })
            while let frame = try? decoder.next() {
                guard case .message(let payload) = frame else { continue }
                _ = try? PluginFrame.object(of: payload)
            }
        }
    }

    @Test(arguments: ["[]", "1", "null", "", "{", "{\"a\":1}x", String(repeating: "[", count: 100)])
    func messagesThatAreNoObjectsAreErrors(text: String) {
        #expect(throws: PluginError.self) { try PluginFrame.object(of: Array(text.utf8)) }
    }

    @Test func mutilatedMessagesAreErrorsOrNothing() throws {
        let good = try JSONWriter.bytes(of: .object(Messages.hello.json), .compact)
        for position in good.indices {
            for change in [UInt8(ascii: "0"), UInt8(ascii: "\""), UInt8(ascii: "{"), 0xFF] {
                var bad = good
                bad[position] = change
                if let object = try? PluginFrame.object(of: bad) { _ = try? PluginMessage(object) }
            }
        }
    }

    @Test func textOfPluginsIsMadeFitForALog() {
        #expect(PluginText.escaped("a\u{202E}b\r\nc\u{1B}[2J") == #"a\u{202e}b\r\nc\u{1b}[2J"#)
        #expect(PluginText.cut("äöü", to: 3) == "ä…")
        #expect(PluginText.escaped("plain ü") == "plain ü")
    }
}
