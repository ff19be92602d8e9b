import JSONCodec
import Support
import Testing

@Suite struct JSONWriterTests {
    private func text(_ value: JSONValue, _ style: JSONWriter.Style = .python) throws -> String {
        String(decoding: try JSONWriter.bytes(of: value, style), as: UTF8.self)
    }

    private let sample: JSONValue = [
        "a": [1, -20, 2.5, true, false, nil], "é": "☃ 🚀 \"q\" \\ / \n\r\t\u{8}\u{C}\u{1}\u{7F}\0", "e": [:], "l": [],
    ]

    @Test func writesAsPythonDoes() throws {
        let expected =
            #"{"a": [1, -20, 2.5, true, false, null], "\u00e9": "\u2603 \ud83d\ude80 \"q\" \\ / "#
            + #"\n\r\t\b\f\u0001\u007f\u0000", "e": {}, "l": []}"#
        #expect(try text(sample) == expected)
    }

    @Test func writesCompactly() throws {
        let expected =
            #"{"a":[1,-20,2.5,true,false,null],"é":"☃ 🚀 \"q\" \\ / \n\r\t\b\f\u0001"# + "\u{7F}"
            + #"\u0000","e":{},"l":[]}"#
        #expect(try text(sample, .compact) == expected)
    }

    @Test func writesDoublesAsPythonDoes() throws {
        for (bits, expected) in PythonDoubles.table {
            #expect(try text(.double(Double(bitPattern: bits))) == expected)
        }
    }

    @Test func writesIntegersOfAnySize() throws {
        for value in [0, 9, 10, -1, -9, .max, .min] as [Int64] { #expect(try text(.int(value)) == String(value)) }
        #expect(try text(.bigInteger("-123456789012345678901234567890")) == "-123456789012345678901234567890")
    }

    @Test(arguments: [Double.nan, .infinity, -.infinity])
    func refusesWhatIsNotFinite(_ value: Double) {
        do throws(JSONError) {
            _ = try JSONWriter.bytes(of: ["a": [1, .double(value)]])
            Issue.record("written")
        } catch {
            #expect(error.code == .notFinite)
        }
    }

    @Test func refusesDeepNesting() {
        var value: JSONValue = 1
        for _ in 0..<1025 { value = [value] }
        do throws(JSONError) {
            _ = try JSONWriter.bytes(of: value)
            Issue.record("written")
        } catch {
            #expect(error.code == .tooDeep)
        }
    }

    @Test func writesTextInPlaceOfWhatHasNoForm() throws {
        var writer = JSONWriter()
        writer.beginArray()
        writer.write("first")
        writer.write([1, .double(.nan)], otherwise: "odd")
        writer.write(true)
        writer.endArray()
        #expect(String(decoding: writer.bytes, as: UTF8.self) == #"["first", "odd", true]"#)
    }

    /// Documents in strings in documents, as deep as failures need and one more, equal writing each by itself.
    @Test(arguments: [JSONWriter.Style.python, .compact])
    func writesDocumentsInsideStrings(_ style: JSONWriter.Style) throws {
        var random = RandomDocument(seed: 5)
        for _ in 0..<40 {
            let value = random.value()
            var expected = try text(value, style)
            for level in 1...4 {
                expected = try text(["n": .int(Int64(level)), "s": .string(expected)], style)
                var writer = JSONWriter(style)
                try write(value, &writer, level)
                #expect(String(decoding: writer.bytes, as: UTF8.self) == expected)
            }
        }
    }

    private func write(_ value: JSONValue, _ writer: inout JSONWriter, _ level: Int) throws(JSONError) {
        guard level > 0 else { return try writer.write(value) }
        writer.beginObject()
        try writer.member("n", .int(Int64(level)))
        writer.key("s")
        try writer.string { writer throws(JSONError) in try write(value, &writer, level - 1) }
        writer.endObject()
    }
}
