import JSONCodec
import Support
import Testing

@Suite struct JSONReaderTests {
    private func read(_ text: String) throws -> JSONValue { try JSONReader.read(Array(text.utf8)) }

    private func failure(_ bytes: [UInt8], limits: JSONLimits = JSONLimits()) -> JSONError? {
        do throws(JSONError) {
            _ = try JSONReader.read(bytes, limits: limits)
            return nil
        } catch {
            return error
        }
    }

    @Test(
        arguments: [
            ("null", .null), (" true ", .bool(true)), ("false\n", .bool(false)),
            ("9223372036854775807", .int(.max)), ("-9223372036854775808", .int(.min)), ("-0", .int(0)),
            ("0.1", .double(0.1)), ("1e+16", .double(1e16)), ("5e-324", .double(.leastNonzeroMagnitude)),
            ("1e-400", .double(0)),
            (#""é \u2603 \ud83d\ude80""#, .string("é ☃ 🚀")), (#""a\u0000b""#, .string("a\0b")),
            ("[]", .array([])), ("{}", .object([:])), (#"[1, [2.5, "x"]]"#, .array([1, [2.5, "x"]])),
            (#"{"b": 1, "a": {"c": null}}"#, ["b": 1, "a": ["c": nil]]),
        ] as [(String, JSONValue)]
    )
    func readsJSON(_ text: String, _ value: JSONValue) throws {
        #expect(try read(text) == value)
    }

    /// oslo.messaging wire, section 16: what jansson refuses and Python writes.
    @Test(
        arguments: [
            ("[Infinity, -Infinity]", .array([.double(.infinity), .double(-.infinity)])),
            ("9223372036854775808", .bigInteger("9223372036854775808")),
            ("-9223372036854775809", .bigInteger("-9223372036854775809")),
            ("1" + String(repeating: "0", count: 5000), .bigInteger("1" + String(repeating: "0", count: 5000))),
            ("1e400", .double(.infinity)), ("-1e400", .double(-.infinity)),
            (#""lone \ud83d surrogate""#, .string("lone \u{FFFD} surrogate")),
            (#""\ude80\ud83d\ud83d\ude80\ud83dx""#, .string("\u{FFFD}\u{FFFD}🚀\u{FFFD}x")),
            (#""\udc00\udc00 \udbff\udfff""#, .string("\u{FFFD}\u{FFFD} \u{10FFFF}")),
            (#"{"a\u0000b": 1}"#, ["a\0b": 1]), (#"{"\ud83d": 1}"#, ["\u{FFFD}": 1]),
        ] as [(String, JSONValue)]
    )
    func readsWhatPythonWritesBeyondJSON(_ text: String, _ value: JSONValue) throws {
        #expect(try read(text) == value)
    }

    @Test func readsNaN() throws {
        let value = try #require(try read("[NaN]").arrayValue?.first?.doubleValue)
        #expect(value.isNaN)
    }

    @Test func keepsOrderAndTheLastOfEqualKeys() throws {
        for text in [#"{"b": 1, "a": 2, "b": 3}"#, #"{"b": NaN, "a": 2, "b": 3}"#] {
            let object = try #require(try read(text).objectValue)
            #expect(Array(object.keys) == ["b", "a"])
            #expect(object["b"] == 3)
        }
    }

    @Test(
        arguments: [
            ("", .truncated, 0), ("[1, 2", .truncated, 5), (#"{"a""#, .truncated, 4), (#""abc"#, .truncated, 4),
            ("[1,]", .syntax, 3), ("{1: 2}", .syntax, 1), ("[1] x", .syntax, 4), ("01", .syntax, 1),
            ("'a'", .syntax, 0),
            ("\"a\u{1}\"", .syntax, 2), (#""\x""#, .syntax, 1), (#""\u12g4""#, .syntax, 1), ("nul", .syntax, 0),
            ("\u{FEFF}1", .syntax, 0), ("-x", .syntax, 1), ("1.e5", .syntax, 2), ("NaNs", .syntax, 3),
        ] as [(String, JSONError.Code, Int)]
    )
    func refusesWhatIsNoJSON(_ text: String, _ code: JSONError.Code, _ position: Int) throws {
        let error = try #require(failure(Array(text.utf8)))
        #expect(error.code == code)
        #expect(error.position == position)
    }

    @Test(arguments: [
        [0x22, 0xFF, 0x22], [0x22, 0xC3, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22], [0x22, 0xC0, 0xAF, 0x22],
    ])
    func refusesWhatIsNoUTF8(_ bytes: [UInt8]) throws {
        #expect(try #require(failure(bytes)).code == .invalidUTF8)
    }

    @Test func errorsNeverQuoteTheDocument() throws {
        let error = try #require(failure(Array(#"{"admin_password": hunter2}"#.utf8)))
        #expect(!error.description.contains("hunter2"))
        #expect(error.parserCode != nil)
    }

    @Test(arguments: [("[", "]"), (#"{"a":"#, "}")])
    func refusesDeepNesting(_ open: String, _ close: String) throws {
        for depth in [513, 2048, 2049, 10_000, 200_000] {
            let text = String(repeating: open, count: depth) + "1" + String(repeating: close, count: depth)
            #expect(try #require(failure(Array(text.utf8))).code == .tooDeep)
        }
        let text = String(repeating: open, count: 512) + "1" + String(repeating: close, count: 512)
        #expect(failure(Array(text.utf8)) == nil)
    }

    @Test func refusesLongDocumentsUnread() throws {
        let error = try #require(failure(Array("[not even JSON".utf8), limits: JSONLimits(maximumBytes: 8)))
        #expect(error.code == .tooLarge)
    }

    @Test(arguments: [#"{"a": 1, "b": [2]}"#, #"{"a": 1, "b": [2], "c": NaN}"#])
    func handsOutMembers(_ text: String) throws {
        var members: [String] = []
        let bytes = Array(text.utf8)
        let isObject = try JSONReader.forEachMember(of: bytes.span) { key, _ in members.append(String(key[0])) }
        #expect(isObject)
        #expect(members.prefix(2) == ["97", "98"])
    }

    @Test(arguments: ["[1]", "1", "[NaN]"])
    func handsOutNothingOfWhatIsNoObject(_ text: String) throws {
        let bytes = Array(text.utf8)
        let isObject = try JSONReader.forEachMember(of: bytes.span) { _, _ in Issue.record("a member") }
        #expect(!isObject)
    }

    @Test func readsForeignMemory() throws {
        let value = try Array(#"{"a": [1]}"#.utf8).withUnsafeBytes { try JSONReader.read($0) }
        #expect(value == ["a": [1]])
    }
}
