import JSONCodec
import Support
import TestSupport
import Testing

@Suite struct EnvelopeScanTests {
    private func inner(_ text: String) -> String? {
        EnvelopeScan.inner(Array(text.utf8).span).map { String(decoding: $0, as: UTF8.self) }
    }

    @Test func takesTheInnerDocumentOfEveryEnvelopedVector() throws {
        let vectors = try OsloVector.all().filter { $0.osloMessage != nil }
        #expect(vectors.count > 90)
        for vector in vectors {
            let inner = EnvelopeScan.inner(vector.body.span).map { String(decoding: $0, as: UTF8.self) }
            #expect(inner == vector.osloMessage, "\(vector)")
        }
    }

    @Test func acceptsAnyWhiteSpaceEscapesAndUTF8() {
        let text =
            "\n{ \"oslo.version\"\t:\"2.0\" ,\r\n\"oslo.message\":\"" + #"a\/\u0041\"é\u00e9\ud83d\ude80 ☃"# + "\" } "
        #expect(inner(text) == "a/A\"éé🚀 ☃")
    }

    @Test(arguments: [
        #"{"oslo.message": "{}", "oslo.version": "2.0"}"#, #"{"oslo.version": "2.1", "oslo.message": "{}"}"#,
        #"{"oslo.version": 2.0, "oslo.message": "{}"}"#, #"{"oslo.version": "2.0", "oslo.message": {}}"#,
        #"{"oslo.version": "2.0", "oslo.message": "{}", "x": 1}"#, #"{"oslo.version": "2.0", "oslo.message": "{}"} x"#,
        #"{"oslo.version": "2.0", "oslo.message": "{}""#, #"{"oslo.version": "2.0", "oslo.message": "{}"#,
        #"{"oslo.version": "2.0", "oslo.message": "\ud83d"}"#, #"{"oslo.version": "2.0", "oslo.message": "\x"}"#,
        "{\"oslo.version\": \"2.0\", \"oslo.message\": \"\u{1}\"}", #"{"oslo.version": "2.0", "oslo.message": "\"#,
        #"{"oslo.version": "2.0", "oslo.message": "\u12"#, "{}", "", "[", #"{"method": "x"}"#,
    ])
    func leavesTheUnusualToTheGeneralReader(_ text: String) {
        #expect(inner(text) == nil)
    }

    /// Whatever the scan accepts, the general reader reads as the same text.
    @Test(arguments: 0..<4 as Range<UInt64>)
    func agreesWithTheGeneralReader(_ seed: UInt64) throws {
        var random = RandomDocument(seed: 900 + seed)
        for _ in 0..<300 {
            var writer = JSONWriter()
            writer.beginObject()
            writer.member("oslo.version", string: "2.0")
            writer.member("oslo.message", string: random.string() + random.string())
            writer.endObject()
            for bytes in [writer.bytes, random.mutate(writer.bytes)] {
                guard let inner = EnvelopeScan.inner(bytes.span) else { continue }
                guard String(validating: inner, as: UTF8.self) != nil else { continue }
                let object = try JSONReader.read(bytes).objectValue
                #expect(object?["oslo.message"] == .string(String(decoding: inner, as: UTF8.self)))
            }
        }
    }
}
