import JSONCodec
import Support
import TestSupport
import Testing

/// Every request that was ever captured is read, dispatched and answered by the real process.
@Suite(.needsBroker, .needsPython, .timeLimit(.minutes(5)))
struct VectorReplayTests {
    @Test func everyCapturedRequestIsTakenAndEveryCallAnswered() async throws {
        let vectors = try OsloVector.all(prefix: "request-")
        try await Interop.run(.v18_3_1, DaemonSettings(hosts: ["host-a"])) { interop in
            var answered = 0
            for vector in vectors {
                let message = try vector.osloMessage.map { try JSONReader.read(Array($0.utf8)) }
                var command: JSONObject = [
                    "op": "raw", "base64": .string(Base64.encode(vector.body)), "key": "compute.host-a",
                    "headers": .object(
                        JSONObject((vector.headers ?? [:]).map { ($0.key, JSONValue.string($0.value)) })
                    ),
                ]
                if let queue = message?["_reply_q"] {
                    command["reply_queue"] = queue
                    command["replies"] = "ending"
                }
                let answer = try await interop.client.ask(command)
                guard message?["_reply_q"] != nil else { continue }
                let reply = try #require(answer.result?.arrayValue?.last, "\(vector): \(answer.fields)")
                #expect(reply["_msg_id"] == message?["_msg_id"], "\(vector)")
                #expect(reply["ending"] == true, "\(vector)")
                // None of them is for a method that this daemon has: it says so, and nothing about their form.
                let failure = reply["failure"]?.stringValue ?? ""
                let isAbsent = failure.contains("NoSuchMethod") || failure.contains("UnsupportedVersion")
                #expect(isAbsent, "\(vector): \(reply)")
                answered += 1
            }
            #expect(answered > 20)
            try await eventually("a log line for each request") {
                interop.daemon.logLines.count { $0.contains(" operation ") } >= vectors.count
            }
            #expect(!interop.daemon.logLines.contains { $0.contains("message rejected") })
        }
    }
}
