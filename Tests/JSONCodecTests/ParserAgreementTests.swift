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

    /// Numbers at the edges of what the scan of a message reads by itself, and what it leaves to jansson.
    @Test(arguments: [
        "0", "7", "01", "0.5", "12e2", "-1", "999999999999999999", "9999999999999999999", "9223372036854775807",
        "99999999999999999999", "1 ", "12x", "tru", "nullx", "\"\\u00e9\"", "\"é\"", "[1, [2]]", "{}", "NaN",
        "[]", "{ }", "{\"x\": {\"y\": [1, \"z\", null, true]}, \"w\": [{}]}", "{\"x\": 1, \"y\": 2, \"x\": [3]}",
        "[1,]",
        "{\"x\":}", "[1 2]", "{\"x\" 1}", "{,}", "{\"x\": 1,}", "[\"é\"]", "[-1, 2.5, {\"a\": \"\\\"\"}]", "[1}",
        "{\"x\": 1]",
        "{\"\": 0}", "{\"\\u0061\": 0, \"a\": 1}", "{1: 2}", "[", "{\"x\": [", "[nul]", "[01]",
        String(repeating: "[", count: 120) + String(repeating: "]", count: 120),
        String(repeating: "[", count: 180) + String(repeating: "]", count: 180),
    ])
    func theScanOfAMessageReadsWhatJanssonReads(_ text: String) throws {
        let document = Array("{\"a\": \(text), \"b\": \(text)}".utf8)
        var scanned = JSONObject()
        let isScanned = MessageScan.forEachMember(of: document.span, limits: JSONLimits()) { scanned[$0.text] = $1 }
        let whole = try? JanssonReader.read(document.span, limits: JSONLimits())
        #expect(isScanned == (whole != nil))
        if isScanned { #expect(JSONValue.object(scanned) == whole) }
    }

    /// Documents with members that the scan reads, and with damage anywhere.
    @Test(arguments: 0..<4 as Range<UInt64>)
    func theScanOfMessagesAgreesWithJansson(_ seed: UInt64) throws {
        var random = RandomDocument(seed: 500 + seed)
        var scans = 0
        for _ in 0..<300 {
            var message: JSONObject = ["method": "get_info", "version": "1.0", "_timeout": nil, "number": 17]
            for number in 0..<3 { message["key\(number)"] = random.value() }
            let text = random.mutate(try JSONWriter.bytes(of: .object(message)))
            var scanned = JSONObject()
            guard MessageScan.forEachMember(of: text.span, limits: JSONLimits(), { scanned[$0.text] = $1 }) else {
                continue
            }
            scans += 1
            let whole = try JanssonReader.read(text.span, limits: JSONLimits())
            #expect(try JSONWriter.bytes(of: .object(scanned)) == JSONWriter.bytes(of: whole))
        }
        #expect(scans > 20)
    }

    /// The arena serves documents larger than a block, one after the other and on many threads.
    @Test func largeDocumentsAreReadAgainAndAgain() async throws {
        var random = RandomDocument(seed: 900)
        var values: [JSONValue] = []
        for _ in 0..<80 {
            let value = random.value()
            let text = try JSONWriter.bytes(of: value)
            if (try? JanssonReader.read(text.span, limits: JSONLimits())) != nil { values.append(value) }
        }
        var repeated: [JSONValue] = []
        var bytes: [UInt8] = []
        while bytes.count <= 200_000 {
            repeated += [JSONValue](repeating: .array(values), count: 20)
            bytes = try JSONWriter.bytes(of: .array(repeated))
        }
        let document = bytes
        let expected = try PythonParser.parse(document.span, limits: JSONLimits())
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<4 where try JanssonReader.read(document.span, limits: JSONLimits()) != expected {
                        return false
                    }
                    return true
                }
            }
            for try await same in group { #expect(same) }
        }
    }
}

extension Span<UInt8> {
    fileprivate var text: String { withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) } }
}
