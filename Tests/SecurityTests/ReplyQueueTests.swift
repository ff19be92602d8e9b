import DaemonBench
import OsloMessaging
import Support
import TestSupport
import Testing

/// What a client may have us publish, and where.
@Suite(.enabled(if: TestBroker.isAvailable, Comment(rawValue: TestBroker.missing)), .timeLimit(.minutes(5)))
struct ReplyQueueTests {
    private func request(
        _ method: String,
        _ args: JSONObject = [:],
        to queue: String = "reply_\(UniqueID.make())",
        messageID: String = UniqueID.make(),
        uniqueID: String = UniqueID.make()
    ) -> RPCRequest {
        RPCRequest(
            method: method,
            args: args,
            reply: ReplyAddress(messageID: messageID, queue: queue),
            uniqueID: uniqueID
        )
    }

    @Test func repliesGoToReplyQueuesAlone() async throws {
        try await Bench.run { bench in
            let instance = TestInstance()
            // The other host's own queue stands for any that the client may not write to himself.
            for queue in ["compute.host-b", "notifications.info", "amq.gen-x", "reply", " reply_x", "reply_a b"] {
                let before = try await bench.metric("vmops_rpc_rejected_total", "invalid_request")
                for method in ["ping", "spawn"] {
                    let args: JSONObject = method == "ping" ? [:] : ["instance": instance.description]
                    try await bench.publish(try request(method, args, to: queue).encode())
                }
                try await eventually("both rejected: \(queue)") {
                    try await bench.metric("vmops_rpc_rejected_total", "invalid_request") == before + 2
                }
            }
            // Neither was anything done.
            #expect(try await bench.call("list_instances") == [])
            #expect(bench.daemon.log.contains("_reply_q is no reply queue"))
        }
    }

    @Test func anOperatorMayNameOtherReplyQueues() async throws {
        let settings = DaemonSettings(options: ["limits": ["allowed_reply_queues": "answers."]])
        try await DaemonProcess.run(settings) { daemon in
            try await OsloClient.run(.v18_3_1, url: daemon.url) { (client: OsloClient) async throws in
                let body = String(decoding: try request("ping", to: "answers.1").encode(), as: UTF8.self)
                let answer = try await client.ask([
                    "op": "raw", "body": .string(body), "key": "compute.host-a", "reply_queue": "answers.1", "wait": 30,
                ])
                #expect(answer.result?.arrayValue?.count == 1)
            }
        }
    }

    @Test func idsAndNamesThatAreTooLongAreRejected() async throws {
        try await Bench.run { bench in
            let long = String(repeating: "a", count: 256)
            let requests = [
                request("ping", to: "reply_" + long), request("ping", messageID: long),
                request("spawn", ["instance": TestInstance().description], uniqueID: long), request(long),
            ]
            for (number, request) in requests.enumerated() {
                try await bench.publish(try request.encode())
                try await eventually("number \(number) rejected") {
                    try await bench.metric("vmops_rpc_rejected_total", "invalid_request") == Double(number + 1)
                }
            }
            #expect(try await bench.call("list_instances") == [])
        }
    }

    @Test func whatAClientSendsCannotLookLikeALineOfTheLog() async throws {
        try await Bench.run { bench in
            let forged = "x\n2026-01-01T00:00:00.000000Z info operation outcome=ok host=host-a \u{1B}[2J\u{9B}\u{202E}"
            let instance = TestInstance()
            _ = try? await bench.call(forged, requestID: "req-1\(forged)")
            _ = try? await bench.call("get_info", ["instance": ["uuid": .string(forged)]], requestID: "req-2\(forged)")
            _ = try? await bench.call("snapshot", ["instance": instance.description, "image_id": .string(forged)])
            try await eventually("lines of both") {
                bench.daemon.logLines.filter { $0.contains("req-1") || $0.contains("req-2") }.count >= 2
            }
            for line in bench.daemon.logLines {
                #expect(line.prefix(11).hasSuffix("T") && !line.hasPrefix("2026-01-01"), "\(line)")
                #expect(line.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) })
                #expect(!line.unicodeScalars.contains("\u{202E}"))
            }
        }
    }
}
