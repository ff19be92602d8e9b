import JSONCodec
import Logging
import OsloMessaging
import RPCWorker
import Support
import Synchronization
import TestSupport
import Testing

/// Messages that no library sends by itself: repeated, malformed, expired, with odd reply queues.
@Suite(
    .enabled(if: TestBroker.isAvailable, "\(TestBroker.missing)"),
    .enabled(if: PythonPeer.isAvailable, "\(PythonPeer.missing)"),
    .timeLimit(.minutes(5))
)
struct RawMessageTests {
    private func with(
        settings: RPCWorkerSettings = RPCWorkerSettings(topics: ["compute"]),
        logger: Logger = TestHosts.quiet,
        endpoints: @escaping @Sendable (String) -> [any RPCEndpoint],
        _ body: @escaping @Sendable (OsloClient, RPCWorker) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory { directory in
            try await TestBroker.withVirtualHost { url in
                let hosts = TestHosts(in: directory, ["host-a"], endpoints)
                try await withWorker(hosts, url: url, settings: settings, logger: logger) { worker in
                    try await OsloClient.run(.v18_3_1, url: url) { client in try await body(client, worker) }
                }
            }
        }
    }

    @Test(arguments: ["echo", "echo_read", "echo_mutating"])
    func aRepeatedRequestRunsOnceAndIsAnsweredOnce(method: String) async throws {
        let tally = Tally()
        try await with(endpoints: { echoEndpoints($0, tally: tally) }) { client, _ in
            let text = try body(callRequest(method, ["value": 5], queue: "reply_r"))
            let replies = try await client.raw(text, ["times": 20, "reply_queue": "reply_r", "linger": 1])
            #expect(replies.count == 1)
            #expect(replies.first?["result"] == 5)
            #expect(tally["echo"] == 1)
        }
    }

    @Test func malformedMessagesAreRejectedAndTheNextIsServed() async throws {
        let lines = LogLines()
        let good = try body(callRequest("echo", ["value": 1], queue: "reply_m"))
        try await with(logger: lines.logger, endpoints: { echoEndpoints($0) }) { client, worker in
            let bad: [(body: String, more: JSONObject)] = [
                ("{", [:]), ("[]", [:]), ("7", [:]), ("{\"oslo.version\": \"3.0\", \"oslo.message\": \"{}\"}", [:]),
                ("{\"oslo.version\": \"2.0\", \"oslo.message\": {}}", [:]),
                (good, ["properties": ["content_type": "text/plain"]]),
                ("{\"method\": null}", [:]), (String(repeating: "[", count: 10_000), [:]),
                (good, ["headers": ["compression": "application/x-gzip"]]),
            ]
            for (text, more) in bad { _ = try await client.raw(text, more) }
            let replies = try await client.raw(good, ["reply_queue": "reply_m", "linger": 0.5])
            #expect(replies.count == 1)
            let rejected = lines.all.filter { $0.message == "message rejected" }
            #expect(rejected.count == bad.count)
            #expect(
                rejected.allSatisfy { $0.metadata["routing_key"] == "compute.host-a" && $0.metadata["bytes"] != nil }
            )
            #expect(worker.status.outstanding == 0)
        }
    }

    @Test func aMessageAboveTheLimitIsRejected() async throws {
        let lines = LogLines()
        let settings = RPCWorkerSettings(topics: ["compute"], maximumMessageBytes: 100_000)
        try await with(settings: settings, logger: lines.logger, endpoints: { echoEndpoints($0) }) { client, _ in
            let large = callRequest("echo", ["value": .string(String(repeating: "x", count: 200_000))], queue: "none")
            _ = try await client.raw(try body(large))
            #expect(try await client.call("echo", ["value": 1]).result == 1)
            let rejected = try #require(lines.all.first { $0.message == "message rejected" })
            #expect(rejected.metadata["reason"] == "too large")
        }
    }

    @Test func callsWithBadArgumentsAreAnswered() async throws {
        try await with(endpoints: { echoEndpoints($0) }) { client, _ in
            let bad = [
                #"{"method": "echo", "args": 7, "_msg_id": "m", "_reply_q": "reply_b", "_timeout": null}"#,
                #"{"method": 7, "args": {}, "_msg_id": "m", "_reply_q": "reply_b", "_timeout": null}"#,
                #"{"method": "echo", "version": "x", "_msg_id": "m", "_reply_q": "reply_b", "_timeout": null}"#,
            ]
            for text in bad {
                let replies = try await client.raw(text, ["reply_queue": "reply_b"])
                #expect(replies.count == 1)
                #expect(replies.first?["failure"]?.stringValue?.contains("\"module\": \"builtins\"") == true)
            }
        }
    }

    @Test func aCompressedRequestIsJournalledSoThatItCanBeReadAgain() async throws {
        let gate = Gate()
        let settings = RPCWorkerSettings(topics: ["compute"], admission: AdmissionLimits(running: 1, resident: 0))
        try await with(settings: settings, endpoints: { _ in waitingEndpoints(gate) }) { client, worker in
            async let first = client.call("wait")
            try await eventually { gate.arrived == 1 }
            let queued = try body(callRequest("echo", ["value": "compressed"], queue: "reply_c"))
            async let replies = client.raw(queued, ["compress": true, "reply_queue": "reply_c"])
            try await eventually { worker.status.queued == 1 }
            gate.open()
            #expect(try await replies.first?["result"] == "compressed")
            _ = try await first
        }
    }

    @Test func heartbeatsComeBetweenReceptionAndTheReply() async throws {
        let gate = Gate()
        let settings = RPCWorkerSettings(topics: ["compute"], admission: AdmissionLimits(running: 1))
        try await with(settings: settings, endpoints: { _ in waitingEndpoints(gate) }) { client, worker in
            async let blocking = client.call("wait")
            try await eventually { gate.arrived == 1 }
            // Does not even run, for want of a place.
            let request = callRequest("echo", ["value": 1], queue: "reply_h", timeout: 2)
            async let collected = client.raw(try body(request), ["reply_queue": "reply_h", "replies": 4, "linger": 2])
            try await eventually { worker.status.queued == 1 }
            try await Task.sleep(for: .milliseconds(2_500))
            gate.open()
            let replies = try await collected
            #expect(replies.count >= 3)
            for beat in replies.dropLast() { #expect(beat["ending"] == false && beat["result"] == .null) }
            #expect(replies.last?["ending"] == true)
            #expect(replies.last?["result"] == 1)
            #expect(Set(replies.compactMap { $0["_unique_id"]?.stringValue }).count == replies.count)
            _ = try await blocking
        }
    }

    @Test func anUnmonitoredCallGetsNoHeartbeat() async throws {
        let gate = Gate()
        try await with(endpoints: { _ in waitingEndpoints(gate) }) { client, worker in
            let request = callRequest("wait", queue: "reply_u")
            async let collected = client.raw(try body(request), ["reply_queue": "reply_u", "replies": 1, "linger": 1])
            try await eventually { gate.arrived == 1 }
            #expect(worker.status.monitoredCalls == 0)
            gate.open()
            #expect(try await collected.count == 1)
        }
    }

    @Test func anExpiredCallThatWaitedIsNotExecuted() async throws {
        let gate = Gate()
        let tally = Tally()
        let settings = RPCWorkerSettings(topics: ["compute"], admission: AdmissionLimits(running: 1))
        try await with(settings: settings, endpoints: { _ in waitingEndpoints(gate, tally) }) { client, worker in
            async let first = client.call("wait")
            try await eventually { gate.arrived == 1 }
            let request = try body(callRequest("echo", queue: "reply_e"))
            _ = try await client.raw(request, ["properties": ["expiration": "300"]])
            try await eventually { worker.status.queued == 1 }
            try await Task.sleep(for: .milliseconds(400))
            gate.open()
            _ = try await first
            try await eventually { worker.status.outstanding == 0 }
            #expect(tally["echo"] == 0)
            #expect(try await client.collect("reply_e", 1, wait: 0.5).isEmpty)
        }
    }

    @Test func aMissingReplyQueueHoldsUpNobodyAndALateOneIsServed() async throws {
        try await with(endpoints: { echoEndpoints($0) }) { client, worker in
            for method in ["echo", "echo_read", "echo_mutating"] {
                _ = try await client.raw(try body(callRequest(method, ["value": 1], queue: "reply_late")))
            }
            try await eventually { worker.status.repliesOwed == 3 }
            #expect(try await client.call("echo_mutating", ["value": 2]).result == 2)
            let replies = try await client.collect("reply_late", 3, linger: 0.6)
            #expect(replies.map { $0["result"] } == [1, 1, 1])
            try await eventually { worker.status.repliesOwed == 0 }
        }
    }

    @Test func aQueueThatStaysAwayIsGivenUpAndForgotten() async throws {
        let lines = LogLines()
        let settings = RPCWorkerSettings(
            topics: ["compute"],
            replies: ReplySettings(retryTimeout: .milliseconds(600), obsoleteFor: .seconds(3_600))
        )
        try await with(settings: settings, logger: lines.logger, endpoints: { echoEndpoints($0) }) { client, worker in
            let send = { (method: String) in
                _ = try await client.raw(try body(callRequest(method, ["value": 1], queue: "reply_gone")))
            }
            try await send("echo_mutating")
            try await eventually { lines.count("reply dropped") == 1 }
            // Taken for gone: dropped at once, even though it is there now.
            #expect(try await client.collect("reply_gone", 1, wait: 0.1).isEmpty)
            try await send("echo")
            try await eventually { lines.count("reply dropped") == 2 }
            #expect(worker.status.repliesOwed == 0)
        }
    }
}

/// `wait` stays at the gate; `echo` does not. Both change something.
func waitingEndpoints(_ gate: Gate, _ tally: Tally = Tally()) -> [any RPCEndpoint] {
    [
        TestEndpoint([
            "wait": .mutating { _ in
                await gate.pass()
                tally.add("wait")
                return "waited"
            },
            "echo": .mutating { request in
                tally.add("echo")
                return request.args["value"] ?? .null
            },
            "look": .read { _ in "seen" },
        ])
    ]
}
