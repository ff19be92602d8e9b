import Foundation
import Logging
import Support
import Testing

@testable import Observability

@Suite struct LogLineTests {
    static let hostile = [
        "two\nlines", "a\r\nb", "x level=critical y=z", "\"quoted\"", "back\\slash", "\u{1B}[31mred", "nul\u{0}",
        "\u{202E}reversed", "line\u{2028}separator", "next\u{85}line", "", " leading", "trailing ", "ümlaut ☃",
        "a=b", "\\n", "{\"json\": 1}",
    ]

    @Test func plainLineOfTextForm() async throws {
        let capture = try LogCapture()
        capture.logger(.text).info("instance started", metadata: ["instance": "a-1", "ms": "\(12)", "request": "r 1"])
        #expect(
            try await capture.lines() == [
                "2025-12-31T23:59:59.000001Z info instance started instance=a-1 ms=12 request=\"r 1\""
            ]
        )
    }

    @Test(arguments: hostile)
    func textFormReadsBack(value: String) async throws {
        let capture = try LogCapture()
        capture.logger(.text).warning("\(value)", metadata: ["value": "\(value)", "after": "1"])
        let lines = try await capture.lines()
        #expect(lines.count == 1)
        let parsed = try #require(ParsedLine(lines[0]), "\(lines[0])")
        #expect(parsed.level == "warning")
        #expect(parsed.message == value)
        #expect(parsed.fields == ["value": value, "after": "1"])
        #expect(lines[0].unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) })
    }

    @Test(arguments: hostile)
    func jsonFormReadsBack(value: String) async throws {
        let capture = try LogCapture()
        let metadata: Logger.Metadata = [
            "text": .string(value), "\(value)x": "key", "list": [.string(value), .stringConvertible(7)],
            "map": ["inner": .stringConvertible(true)],
        ]
        capture.logger(.json, label: "la\"bel").error("\(value)", metadata: metadata)
        let lines = try await capture.lines()
        #expect(lines.count == 1)
        let object = try #require(try JSONSerialization.jsonObject(with: Data(lines[0].utf8)) as? [String: Any])
        #expect(object["message"] as? String == value)
        #expect(object["level"] as? String == "error")
        #expect(object["logger"] as? String == "la\"bel")
        #expect(object["time"] as? String == "2025-12-31T23:59:59.000001Z")
        let read = try #require(object["metadata"] as? [String: Any])
        #expect(read["text"] as? String == value)
        #expect(read["\(value)x"] as? String == "key")
        #expect((read["list"] as? [Any])?.last as? Int == 7)
        #expect((read["map"] as? [String: Any])?["inner"] as? Bool == true)
    }

    @Test func hostileKeysStayKeys() async throws {
        let capture = try LogCapture()
        capture.logger(.text).info("m", metadata: ["a b\n=c": "1"])
        #expect(try #require(ParsedLine(try await capture.lines()[0])).fields == ["a_b__c": "1"])
    }

    @Test func longValuesAreCut() async throws {
        let capture = try LogCapture()
        capture.logger(.text).info("m", metadata: ["long": .string(String(repeating: "x", count: 1_000_000))])
        #expect(try await capture.lines()[0].utf8.count < 10_000)
    }

    @Test(arguments: [
        (0, "1970-01-01T00:00:00.000000Z"), (-1, "1969-12-31T23:59:59.999999Z"),
        (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"), (4_107_542_399_999_999, "2100-02-28T23:59:59.999999Z"),
        (4_107_542_400_000_000, "2100-03-01T00:00:00.000000Z"),
    ])
    func timesAreRFC3339(micros: Int64, text: String) {
        var line: [UInt8] = []
        Timestamp(microsecondsSince1970: micros).append(to: &line)
        #expect(String(decoding: line, as: UTF8.self) == text)
    }
}
