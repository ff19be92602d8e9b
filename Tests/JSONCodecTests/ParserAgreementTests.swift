import Support
import TestSupport
import Testing

@testable import JSONCodec

/// jansson is the oracle of our own parser: what it accepts, ours reads the same.
@Suite struct ParserAgreementTests {
    private func compare(_ bytes: [UInt8]) throws -> Bool {
        let limits = JSONLimits()
        guard let expected = try? JanssonReader.read(bytes.span, limits: limits) else { return false }
        let own = try PythonParser.parse(bytes.span, limits: limits)
        // Compared as text, which tells 0.0 from -0.0 and shows the order of members.
        #expect(
            try JSONWriter.bytes(of: own) == JSONWriter.bytes(of: expected),
            "\(String(decoding: bytes, as: UTF8.self))"
        )
        return true
    }

    @Test(arguments: 0..<8 as Range<UInt64>)
    func ownParserAgreesOnDocumentsAndTheirMutations(_ seed: UInt64) throws {
        var random = RandomDocument(seed: seed)
        var accepted = 0
        for _ in 0..<400 {
            let text = random.text()
            if try compare(text) { accepted += 1 }
            for _ in 0..<4 where try compare(random.mutate(text)) { accepted += 1 }
        }
        #expect(accepted > 400)
    }

    @Test(arguments: 0..<4 as Range<UInt64>)
    func ownParserAgreesOnWhatWeWrite(_ seed: UInt64) throws {
        var random = RandomDocument(seed: 100 + seed)
        for round in 0..<150 {
            let value = random.value()
            let style: JSONWriter.Style = round.isMultiple(of: 2) ? .python : .compact
            let bytes = try JSONWriter.bytes(of: value, style)
            let own = try PythonParser.parse(bytes.span, limits: JSONLimits())
            #expect(own == value)
            #expect(try JSONReader.read(bytes) == value)
            // Only a NUL in a key keeps jansson from reading what we write.
            if try !compare(bytes) { #expect(bytes.contains(UInt8(ascii: "\\"))) }
        }
    }

    @Test func ownParserAgreesOnCapturedMessagesAndTheirMutations() throws {
        var random = RandomDocument(seed: 77)
        var accepted = 0
        for vector in try OsloVector.all() {
            guard let inner = EnvelopeScan.inner(vector.body.span) else { continue }
            if try compare(inner) { accepted += 1 }
            for _ in 0..<20 where try compare(random.mutate(inner)) { accepted += 1 }
        }
        #expect(accepted > 300)
    }

    /// Handed out one by one, the members are those of the object read whole.
    @Test(arguments: 0..<4 as Range<UInt64>)
    func membersHandedOutAreThoseOfTheObject(_ seed: UInt64) throws {
        var random = RandomDocument(seed: 300 + seed)
        for _ in 0..<200 {
            let text = random.mutate(try JSONWriter.bytes(of: .object(random.object(0))))
            guard let whole = try? PythonParser.parse(text.span, limits: JSONLimits()).objectValue else { continue }
            let expected = try JSONWriter.bytes(of: .object(whole))
            var own = JSONObject()
            let ownIsObject = try PythonParser.forEachMember(of: text.span, limits: JSONLimits()) { own[$0.text] = $1 }
            #expect(ownIsObject)
            #expect(try JSONWriter.bytes(of: .object(own)) == expected)
            guard (try? JanssonReader.read(text.span, limits: JSONLimits())) != nil else { continue }
            var other = JSONObject()
            _ = try JanssonReader.forEachMember(of: text.span, limits: JSONLimits()) { other[$0.text] = $1 }
            #expect(try JSONWriter.bytes(of: .object(other)) == expected)
        }
    }
}

extension Span<UInt8> {
    fileprivate var text: String { withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) } }
}
