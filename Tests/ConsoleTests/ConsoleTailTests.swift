import Support
import Testing

@testable import Console

@Suite struct ConsoleTailTests {
    private func tail(
        _ text: String,
        _ lines: Int?,
        max: Int = 1_000_000,
        segment: Int = 64,
        _ settings: ConsoleSettings = ConsoleSettings()
    ) throws -> String {
        try tail(Array(text.utf8), lines, max: max, segment: segment, settings)
    }

    private func tail(
        _ bytes: [UInt8],
        _ lines: Int?,
        max: Int = 1_000_000,
        segment: Int = 64,
        _ settings: ConsoleSettings = ConsoleSettings()
    ) throws -> String {
        let directory = try TestDirectory()
        var store = SegmentStore(
            directory: directory.path,
            limits: SegmentLimits(segmentBytes: segment, archives: 1000)
        )
        try store.append(bytes, ReactorBlockPool(budget: .max))
        return try store.tail(lines: lines, maxBytes: max).text(settings)
    }

    @Test(arguments: [
        ("", 3, ""), ("a", 1, "a"), ("a\n", 1, "a"), ("a\nb", 1, "b"), ("a\nb\n", 1, "b"), ("a\nb\n", 2, "a\nb"),
        ("a\nb\n", 5, "a\nb"), ("a\nb\n", 0, ""), ("\n\n\n", 2, "\n"), ("\n", 1, ""), ("a\n\nb\n", 2, "\nb"),
        ("one\r\ntwo\r\n", 1, "two\r"),
    ])
    func countsRealLines(text: String, lines: Int, expected: String) throws {
        #expect(try tail(text, lines) == expected)
    }

    @Test func everythingComesWithoutALength() throws {
        #expect(try tail("a\nb\n", nil) == "a\nb\n")
    }

    @Test(arguments: 0..<12)
    func splitOnNewlineHasExactlyTheLinesAskedFor(seed: UInt64) throws {
        var random = Seeded(seed)
        let bytes = random.text(Int.random(in: 0...60_000, using: &random))
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        let real = bytes.last == 0x0A ? lines.dropLast() : lines[...]
        let count = Int.random(in: 1...4000, using: &random)
        let expected = real.suffix(count).joined(separator: "\n")
        #expect(try tail(bytes, count, segment: 10_000) == expected)
    }

    @Test func aReplyCutForItsSizeBeginsAtALine() throws {
        let text = (0..<100).map { "line \($0)\n" }.joined()
        let reply = try tail(text, nil, max: 50)
        #expect(text.hasSuffix(reply))
        #expect(reply.hasPrefix("line "))
        #expect(reply.utf8.count > 40)
    }

    @Test func charactersCutAtEitherEndAreLeftOut() throws {
        let euro = Array("€".utf8)
        #expect(try tail(Array("x".utf8) + euro + Array("yz".utf8), nil, max: 4) == "yz")
        #expect(try tail(Array("ab".utf8) + euro.prefix(2), nil) == "ab")
        #expect(try tail(Array("ab".utf8) + Array("😀".utf8).prefix(3), nil) == "ab")
        #expect(try tail(Array("ab".utf8) + euro, nil) == "ab€")
    }

    @Test func malformedSequencesAreReplaced() throws {
        #expect(try tail([0x82, 0x61, 0xFF, 0x62, 0xC3, 0x28], nil) == "\u{FFFD}a\u{FFFD}b\u{FFFD}(")
    }

    @Test func optionsGiveTheOldReply() throws {
        var settings = ConsoleSettings()
        settings.replyCharset = .ascii
        #expect(try tail("grün €\n", nil, settings) == "gr?n ?\n")
        settings.stripControl = true
        #expect(try tail("\u{1B}[31mred\u{0}\r\n\tx", nil, settings) == "[31mred\n\tx")
        settings.replyCharset = .utf8
        #expect(try tail("a\u{9B}31mb\u{7F}\u{85}c €\n", nil, settings) == "a31mbc €\n")
        #expect(try tail("\u{0}\u{1B}", nil) == "\u{0}\u{1B}")
    }
}
