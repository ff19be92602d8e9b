import AMQPModel
import JSONCodec
import OsloMessaging
import Support
import Testing

/// What a client makes of replies (oslo.messaging wire, section 7).
@Suite struct ReplyDecodingTests {
    private func reply(_ text: String) throws -> RPCReply {
        try RPCReply(body: Array(text.utf8), properties: OsloProperties.plain)
    }

    @Test(
        arguments: [
            (#"{"_msg_id": "m", "failure": null, "ending": true}"#, nil, true),
            (#"{"_msg_id": "m", "result": 0, "failure": "", "ending": 1}"#, 0, true),
            (#"{"_msg_id": "m", "result": false, "ending": "yes"}"#, false, true),
            (#"{"_msg_id": "m", "result": [], "failure": null}"#, [], false),
            (#"{"_msg_id": "m", "result": NaNN}"#, nil, false),
            (#"{"_msg_id": "m", "result": "", "failure": null, "ending": true, "more": 1}"#, "", true),
        ] as [(String, JSONValue?, Bool)]
    )
    func unenvelopedRepliesWithDefaultsAreRead(_ text: String, _ result: JSONValue?, _ ending: Bool) throws {
        if text.contains("NaNN") {
            #expect(throws: MessageRejection.self) { try self.reply(text) }
            return
        }
        let reply = try self.reply(text)
        #expect(reply.result == result)
        #expect(reply.ending == ending)
        #expect(reply.failure == nil)
    }

    @Test(arguments: ["{}", "", #"{"_msg_id": 5, "ending": true}"#])
    func withoutAnIdItBelongsToNoCall(_ text: String) {
        #expect(throws: MessageRejection.self) { try reply(text) }
    }

    @Test func oneMessageEndsACall() throws {
        var assembly = ReplyAssembly()
        let outcome = assembly.take(try reply(#"{"_msg_id": "m", "result": 5, "failure": null, "ending": true}"#))
        #expect(outcome == .success(5))
    }

    @Test func twoMessagesAndHeartbeatsMakeOneCall() throws {
        var assembly = ReplyAssembly()
        let heartbeat = try reply(#"{"_msg_id": "m", "result": null, "failure": null, "ending": false}"#)
        #expect(heartbeat.isHeartbeat)
        let nothing = assembly.take(heartbeat)
        #expect(nothing == nil)
        let first = try reply(#"{"_msg_id": "m", "result": {"a": 1}, "failure": null, "ending": false}"#)
        #expect(!first.isHeartbeat)
        let unfinished = [assembly.take(first), assembly.take(heartbeat)]
        #expect(unfinished == [nil, nil])
        let outcome = assembly.take(try reply(#"{"_msg_id": "m", "ending": true}"#))
        #expect(outcome == .success(["a": 1]))
    }

    @Test func aFailureWinsOverAResult() throws {
        var assembly = ReplyAssembly()
        let text = #"{"_msg_id": "m", "result": 5, "failure": "{\"class\": \"X\", \"module\": \"m\"}", "ending": true}"#
        guard case .failure(let failure)? = assembly.take(try reply(text)) else {
            Issue.record("no failure")
            return
        }
        #expect(failure == RemoteFailure(className: "X", module: "m", message: "", args: []))
    }

    @Test(arguments: [#""failure": "no json""#, #""failure": "[1]""#, #""failure": [1]"#, #""failure": 7"#])
    func anUnreadableFailureStillFailsTheCall(_ member: String) throws {
        let failure = try #require(try reply(#"{"_msg_id": "m", "ending": true, "# + member + "}").failure)
        #expect(failure.className == "RemoteError")
        #expect(!failure.message.contains("no json"))
    }

    @Test func aFailureAsAnObjectIsRead() throws {
        let text = #"{"_msg_id": "m", "failure": {"class": "X", "module": null, "kwargs": null, "tb": ["a", 1]}}"#
        let failure = try #require(try reply(text).failure)
        #expect(failure.className == "X")
        #expect(failure.module == nil)
        #expect(failure.kwargs.isEmpty)
        #expect(failure.traceback == ["a"])
    }
}
