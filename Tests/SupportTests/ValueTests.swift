import Support
import Testing

@Suite struct JSONObjectTests {
    @Test(arguments: [3, 16, 17, 200])
    func keepsOrderAndTheLastValueOfARepeatedKey(count: Int) {
        var object = JSONObject()
        for number in 0..<count { object["k\(number)"] = .int(Int64(number)) }
        object["k1"] = "again"
        #expect(object.count == count)
        #expect(Array(object.keys) == (0..<count).map { "k\($0)" })
        #expect(object["k1"] == "again")
        #expect(object["k\(count - 1)"] != nil)
        object["k0"] = nil
        #expect(object["k0"] == nil)
        #expect(object.first?.key == "k1")
        #expect(object["k\(count - 1)"] != nil)
    }

    @Test func orderDoesNotCountForEquality() {
        let left: JSONObject = ["a": 1, "b": 2]
        let right: JSONObject = ["b": 2, "a": 1]
        #expect(left == right)
        #expect(left.hashValue == right.hashValue)
    }
}

@Suite struct Base64Tests {
    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ])
    func knownValuesBothWays(plain: String, encoded: String) {
        #expect(Base64.encode(Array(plain.utf8)) == encoded)
        #expect(Base64.decode(encoded) == Array(plain.utf8))
    }

    @Test func allBytesComeBack() {
        let bytes = (0..<1000).map { UInt8(truncatingIfNeeded: $0 * 7) }
        #expect(Base64.decode(Base64.encode(bytes)) == bytes)
    }

    @Test(arguments: ["Zg=", "Zg", "Z===", "Zg==Zg==", "Zm9v!", "====", "Zm\u{0}v"])
    func refusesWhatIsNotBase64(text: String) {
        #expect(Base64.decode(text) == nil)
    }
}

@Suite struct UniqueIDTests {
    @Test func isAVersionFourUUIDWithoutDashes() {
        let id = Array(UniqueID.make().utf8)
        #expect(id.count == 32)
        #expect(id.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) })
        #expect(id[12] == UInt8(ascii: "4"))
        #expect("89ab".utf8.contains(id[16]))
        #expect(UniqueID.make() != UniqueID.make())
        #expect(UniqueID.makeDashed().split(separator: "-").map(\.utf8.count) == [8, 4, 4, 4, 12])
    }
}

@Suite struct RedactedTests {
    @Test func neverPrintsItsSecret() {
        struct Holder { let password = Redacted("hunter2") }
        var text = "\(Redacted("hunter2")) "
        dump(Holder(), to: &text)
        debugPrint(Redacted("hunter2"), to: &text)
        #expect(!text.contains("hunter2"))
        #expect(Redacted("hunter2").secret == "hunter2")
    }
}

@Suite struct DeadlineTests {
    @Test func aBodyThatEndsInTimeGivesItsResult() async throws {
        #expect(try await withDeadline(.seconds(60)) { 3 } == 3)
    }

    @Test func aBodyThatDoesNotIsCancelled() async {
        await #expect(throws: DeadlineExceeded.self) {
            try await withDeadline(.milliseconds(1)) { try await Task.sleep(for: .seconds(600)) }
        }
    }

    @Test func cancellationFromOutsideStaysCancellation() async {
        let task = Task { try await withDeadline(.seconds(600)) { try await Task.sleep(for: .seconds(600)) } }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }
}
