import Support
import TestSupport
import Testing

/// Values that Python's JSON writes arrive, and come back, as they are; also those that are no JSON by the letter.
@Suite(.needsBroker, .needsPython, .timeLimit(.minutes(5)))
struct ValueTests {
    private static let oneHost = DaemonSettings(hosts: ["host-a"])

    @Test(arguments: OsloVersion.allCases)
    func metadataComesBackUnchanged(version: OsloVersion) async throws {
        try await Interop.run(version, Self.oneHost) { interop in
            let metadata: JSONObject = [
                "unicode": "ünïcødé €", "astral": "🚀𝕏", "nul": "a\u{0}b", "control": "\u{1}\u{1F}\u{7F}\r\n\t",
                "quotes": #""\/'"#, "ключ": "value", "empty": "", "": "no key",
                "separators": "\u{2028}\u{2029}\u{FEFF}",
            ]
            let instance = NewInstance("web-ü", ["metadata": .object(metadata)])
            let spawned = try await interop.client.call("spawn", ["instance": instance.argument])
            #expect(spawned.result?["metadata"] == .object(metadata), "\(spawned.fields)")
            #expect(spawned.result?["name"] == "web-ü")
            // Again after a restart: the record on disk holds them, too.
            try await interop.daemon.restart()
            let read = try await interop.client.call("get_info", ["instance": ["name": "web-ü"]])
            #expect(read.result?["metadata"] == .object(metadata), "\(read.fields)")
        }
    }

    @Test(arguments: OsloVersion.allCases)
    func numbersKeepEveryDigit(version: OsloVersion) async throws {
        let numbers: [(sent: String, kept: String)] = [
            ("9223372036854775807", "9223372036854775807"), ("-9223372036854775808", "-9223372036854775808"),
            ("9007199254740993", "9007199254740993"), ("0.1", "0.1"), ("-0.0", "-0.0"), ("5e-324", "5e-324"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"), ("1e16", "1e+16"),
            ("0.30000000000000004", "0.30000000000000004"), ("true", "true"),
            ("123456789012345678901234567890", "123456789012345678901234567890"), ("NaN", "nan"),
            ("-Infinity", "-inf"),
        ]
        try await Interop.run(version, Self.oneHost) { interop in
            let members = numbers.enumerated().map { #""n\#($0.offset)": \#($0.element.sent)"# }
            let instance = NewInstance()
            let text = """
                {"instance": {"uuid": "\(instance.uuid)", "name": "web", "memory_mb": 64, "vcpus": 1,
                "metadata": {\(members.joined(separator: ", "))}}}
                """
            let answer = try await interop.client.call("spawn", [:], ["args_text": .string(text)])
            for (number, (sent, kept)) in numbers.enumerated() {
                let value = answer.result?["metadata"]?["n\(number)"]
                #expect(value == .string(kept), "\(sent)")
            }
        }
    }

    /// What jansson refuses is read and answered about what is wrong with the argument, not about JSON.
    @Test(arguments: OsloVersion.allCases)
    func oddDocumentsAreAnsweredAboutTheirMeaning(version: OsloVersion) async throws {
        let cases: [(method: String, args: String, raised: String, text: String)] = [
            (
                "spawn", Self.spawn(memory: "NaN"), "InvalidInput_Remote",
                "Invalid input received: instance.memory_mb must be an integer, not number"
            ),
            (
                "spawn", Self.spawn(memory: "123456789012345678901234567890"), "InvalidInput_Remote",
                "Invalid input received: instance.memory_mb must be from 1 to 16777216"
            ),
            (
                "get_info", #"{"instance": {"name": "\ud83d"}}"#, "InstanceNotFound_Remote",
                "Instance \u{FFFD} could not be found."
            ),
            (
                "get_info", #"{"instance": {"name": "a\u0000b"}}"#, "InvalidInput_Remote",
                "Invalid input received: instance.name has a separator or control character"
            ),
            (
                "power_on", #"{"instance": {"uuid": Infinity}}"#, "InvalidInput_Remote",
                "Invalid input received: instance.uuid must be a string, not number"
            ),
            ("ping", #"{"n": NaN}"#, "TypeError", "ping() got an unexpected keyword argument 'n'"),
            ("nothing", #"{"n": NaN}"#, "NoSuchMethod_Remote", "Endpoint does not support RPC method nothing"),
        ]
        try await Interop.run(version, Self.oneHost) { interop in
            for odd in cases {
                let answer = try await interop.client.call(odd.method, [:], ["args_text": .string(odd.args)])
                #expect(answer.raised == odd.raised, "\(odd.args): \(answer.fields)")
                #expect(answer.text.hasPrefix(odd.text + "\n"), "\(odd.args): \(answer.text)")
            }
            // In the context as well, which says nothing about the method.
            let raw = try RawRequest(method: "ping", argsText: "{}", more: ["_context_x": "CONTEXT"])
            let body = raw.body.replacing(#"\"CONTEXT\""#, with: #"[NaN, 1e400, \"\\ud83d\", 18446744073709551616]"#)
            #expect(body != raw.body)
            let replies = try await interop.client.ask([
                "op": "raw", "body": .string(body), "key": "compute.host-a", "reply_queue": .string(raw.replyQueue),
            ])
            #expect(replies.result?.arrayValue?.first?["result"]?["host"] == "host-a", "\(replies.fields)")
        }
    }

    @Test(arguments: OsloVersion.allCases)
    func fieldsOfTheWrongTypeAreAnsweredAsPythonDoes(version: OsloVersion) async throws {
        let cases: [(args: String, more: JSONObject, failure: String)] = [
            ("[1]", [:], "AttributeError"), ("{}", ["version": .null], "UnsupportedVersion"),
            ("{}", ["method": .null], "TypeError"), ("{}", ["namespace": ""], "UnsupportedVersion"),
        ]
        try await Interop.run(version, Self.oneHost) { interop in
            for (args, more, failure) in cases {
                let raw = try RawRequest(method: "ping", argsText: args, more: more)
                let reply = try await raw.replies(interop.client).first
                #expect(
                    reply?["failure"]?.stringValue?.contains(failure) == true,
                    "\(more): \(String(describing: reply))"
                )
                #expect(reply?["ending"] == true)
            }
            // Unknown members, a third component of the version, and a null namespace are all right.
            let fine = try RawRequest(
                method: "ping",
                args: [:],
                more: ["surprise": [1], "namespace": .null, "_timeout": "x"]
            )
            #expect(try await fine.replies(interop.client).first?["result"]?["host"] == "host-a")
        }
    }

    @Test(arguments: OsloVersion.allCases)
    func aRepeatedMessageIsDroppedAndAMalformedOneRejected(version: OsloVersion) async throws {
        try await Interop.run(version, Self.oneHost) { interop in
            let raw = try RawRequest(method: "ping", args: [:])
            let replies = try await raw.replies(interop.client, times: 3, count: 1, linger: 1)
            #expect(replies.count == 1)
            for body in ["{", "[]", #"{"oslo.version": "1.0", "oslo.message": "{}"}"#] {
                _ = try await interop.client.ask([
                    "op": "raw", "body": .string(body), "key": "compute.host-a",
                ])
            }
            try await eventually("three rejections in the log") {
                interop.daemon.logLines.count { $0.contains("message rejected") } == 3
            }
            let broker = try #require(TestBroker.shared)
            try await eventually("empty queues") {
                try await broker.evaluate(
                    """
                    lists:sum([proplists:get_value(messages, I) ||
                      I <- rabbit_amqqueue:info_all(<<"\(interop.daemon.virtualHost)">>, [messages])])
                    """
                ) == "0"
            }
            #expect(try await interop.client.call("ping").result?["host"] == "host-a")
        }
    }

    private static func spawn(memory: String) -> String {
        let instance = NewInstance()
        return #"{"instance": {"uuid": "\#(instance.uuid)", "name": "odd", "memory_mb": \#(memory), "vcpus": 1}}"#
    }
}
