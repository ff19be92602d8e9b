import JSONCodec
import Journal
import OsloMessaging
import RPCWorker
import Support
import Synchronization
import TestSupport
import Testing

/// What is left of one worker is taken up by the next, which has the same journal.
@Suite(
    .enabled(if: TestBroker.isAvailable, "\(TestBroker.missing)"),
    .enabled(if: PythonPeer.isAvailable, "\(PythonPeer.missing)"),
    .timeLimit(.minutes(5))
)
struct RecoveryTests {
    private struct Decisions: RequestRecovery {
        let decide: @Sendable (RPCRequest) -> RecoveryDecision

        init(_ decide: @escaping @Sendable (RPCRequest) -> RecoveryDecision) { self.decide = decide }

        func recover(_ request: RPCRequest) async -> RecoveryDecision { decide(request) }
    }

    private func entry(_ request: RPCRequest, expiresIn: Int64? = 60_000) throws -> AcceptedRequest {
        AcceptedRequest(
            uniqueID: request.uniqueID ?? "",
            method: request.method,
            body: try request.encode(),
            replyQueue: request.replyQueue,
            messageID: request.messageID,
            acceptedAt: WireTime.now().seconds * 1_000,
            expiresAt: expiresIn.map { WireTime.now().seconds * 1_000 + $0 }
        )
    }

    @Test func everyAcceptedRequestIsCarriedToItsEnd() async throws {
        let tally = Tally()
        let decisions = Decisions { request in
            switch request.args["value"] {
            case "was done": .finished("found done")
            case "undone": .failed(.runtimeError("undone after a restart"))
            default: .run
            }
        }
        try await withTemporaryDirectory { directory in
            let hosts = TestHosts(in: directory, recovery: decisions) { echoEndpoints($0, tally: tally) }
            let journal = try hosts.journal("host-a")
            let accept = { (value: String, started: Bool) in
                let request = callRequest("echo_mutating", ["value": .string(value)], queue: "reply_1", id: value)
                _ = try await journal.accept(try entry(request), started: started)
            }
            try await accept("never begun", false)
            try await accept("again", true)
            try await accept("was done", true)
            try await accept("undone", true)
            let late = callRequest("echo_mutating", ["value": "too late"], queue: "reply_1", id: "late")
            _ = try await journal.accept(try entry(late, expiresIn: -5_000))
            await journal.close()

            try await TestBroker.withVirtualHost { url in
                try await OsloClient.run(.v18_3_1, url: url) { client in
                    let replies = try await withWorker(hosts, url: url) { worker in
                        async let collected = client.collect("reply_1", 4, linger: 0.5)
                        try await eventually { worker.status.outstanding == 0 }
                        // Delivered again by a broker that missed the acknowledgement.
                        let again = callRequest("echo_mutating", ["value": "again"], queue: "reply_1", id: "again")
                        _ = try await client.raw(try body(again))
                        _ = try await client.call("echo")
                        return try await collected
                    }
                    let results = Dictionary(grouping: replies) { $0["_msg_id"]?.stringValue ?? "-" }
                    #expect(results.count == 4 && replies.count == 4)
                    #expect(results["m-never begun"]?.first?["result"] == "never begun")
                    #expect(results["m-again"]?.first?["result"] == "again")
                    #expect(results["m-was done"]?.first?["result"] == "found done")
                    let failure = results["m-undone"]?.first?["failure"]?.stringValue
                    #expect(failure?.contains("undone after a restart") == true)
                    #expect(tally["echo"] == 3)
                }
            }
            let after = try hosts.journal("host-a")
            #expect(try await after.unfinished().isEmpty)
            #expect(try await after.owedReplies().isEmpty)
            await after.close()
        }
    }

    @Test func aReplyThatIsOwedOutlivesItsWorker() async throws {
        try await withTemporaryDirectory { directory in
            let hosts = TestHosts(in: directory) { echoEndpoints($0) }
            let settings = RPCWorkerSettings(topics: ["compute"], closeTimeout: .milliseconds(200))
            try await TestBroker.withVirtualHost { url in
                try await OsloClient.run(.v14_0_3, url: url) { client in
                    try await withWorker(hosts, url: url, settings: settings) { worker in
                        let request = callRequest("echo_mutating", ["value": 3], queue: "reply_2")
                        _ = try await client.raw(try body(request))
                        try await eventually { worker.status.repliesOwed == 1 }
                    }
                    try await withWorker(hosts, url: url, settings: settings, ending: .cancelled) { worker in
                        try await eventually { worker.status.repliesOwed == 1 }
                    }
                    try await withWorker(hosts, url: url) { _ in
                        let replies = try await client.collect("reply_2", 1, linger: 0.5)
                        #expect(replies.map { $0["result"] } == [3])
                    }
                }
            }
            let after = try hosts.journal("host-a")
            #expect(try await after.owedReplies().isEmpty)
            await after.close()
        }
    }

    @Test func aGracefulShutdownFinishesWhatRunsAndAnswers() async throws {
        let gate = Gate()
        try await withTemporaryDirectory { directory in
            try await TestBroker.withVirtualHost { url in
                try await OsloClient.run(.v18_3_1, url: url) { client in
                    let hosts = TestHosts(in: directory) { _ in waitingEndpoints(gate) }
                    let ready = Gate()
                    let call = { @Sendable () async throws -> JSONValue? in
                        await ready.pass()
                        return try await client.call("wait").result
                    }
                    let running = Mutex<RPCWorker?>(nil)
                    let openWhileStopping = { @Sendable () async throws in
                        try await eventually { running.withLock { $0?.status.isStopping == true } }
                        gate.open()
                    }
                    async let answer = call()
                    async let opened: Void = openWhileStopping()
                    try await withWorker(hosts, url: url) { worker in
                        ready.open()
                        try await eventually { gate.arrived == 1 }
                        running.withLock { $0 = worker }
                    }
                    #expect(try await answer == "waited")
                    try await opened
                }
            }
        }
    }

    @Test func aShutdownWhoseTimeIsUpAnswersCallsAndKeepsCasts() async throws {
        let gate = Gate()
        let tally = Tally()
        try await withTemporaryDirectory { directory in
            try await TestBroker.withVirtualHost { url in
                let hosts = TestHosts(in: directory) { _ in
                    waitingEndpoints(gate, tally) + [
                        TestEndpoint(
                            namespace: "slow",
                            [
                                "sleep": .mutating { _ in
                                    try await Task.sleep(for: .seconds(600))
                                    return .null
                                }
                            ]
                        )
                    ]
                }
                let settings = RPCWorkerSettings(
                    topics: ["compute"],
                    admission: AdmissionLimits(running: 1),
                    drainTimeout: .milliseconds(300)
                )
                try await OsloClient.run(.v18_3_1, url: url) { client in
                    let ready = (sleep: Gate(), echo: Gate())
                    let ask = { @Sendable (name: String, gate: Gate, more: JSONObject) async throws -> String in
                        await gate.pass()
                        return try await client.call(name, [:], more).text
                    }
                    async let slept = ask("sleep", ready.sleep, ["namespace": "slow"])
                    async let echoed = ask("echo", ready.echo, [:])
                    try await withWorker(hosts, url: url, settings: settings) { worker in
                        ready.sleep.open()
                        try await eventually { worker.status.running == 1 }
                        ready.echo.open()
                        try await eventually { worker.status.queued == 1 }
                        try await client.cast("echo")
                        try await eventually { worker.status.queued == 2 }
                    }
                    #expect(try await slept.contains("cancelled"))
                    #expect(try await echoed.contains("shutting down"))
                    #expect(tally["echo"] == 0)
                    try await withWorker(hosts, url: url) { _ in try await eventually { tally["echo"] == 1 } }
                }
            }
        }
    }

    @Test func repliesOwedWhenTheBrokerRestartsAreDelivered() async throws {
        let gate = Gate()
        try await withTemporaryDirectory { directory in
            try await PrivateBroker.run { broker in
                let hosts = TestHosts(in: directory) { _ in waitingEndpoints(gate) }
                try await withWorker(hosts, url: broker.url) { worker in
                    try await OsloClient.run(.v18_3_1, url: broker.url) { client in
                        async let answer = client.call("wait", [:], ["timeout": 120])
                        try await eventually { gate.arrived == 1 }
                        try await broker.stop()
                        gate.open()
                        try await eventually { worker.status.running == 0 }
                        try await broker.start()
                        #expect(try await answer.result == "waited")
                        #expect(try await client.call("echo", ["value": 1]).result == 1)
                    }
                }
            }
        }
    }

    /// Unacknowledged requests come again on every new connection, and clients repeat what was not confirmed.
    @Test func nothingIsLostOrDoneTwiceWhenConnectionsBreak() async throws {
        let count = 600
        let tally = Tally()
        try await withTemporaryDirectory { directory in
            try await TestBroker.withVirtualHost { url in
                let broker = try #require(TestBroker.shared)
                let virtualHost = try #require(url.split(separator: "/").last.map(String.init))
                let hosts = TestHosts(in: directory) { _ in
                    [
                        TestEndpoint([
                            "number": .mutating { request in
                                tally.add("\(request.args["number"]?.intValue ?? -1)")
                                tally.add("all")
                                return request.args["number"] ?? .null
                            }
                        ])
                    ]
                }
                try await withWorker(hosts, url: url) { worker in
                    try await OsloClient.run(.v18_3_1, url: url) { client in
                        async let flood = client.ask([
                            "op": "flood", "method": "number", "server": "host-a", "count": .int(Int64(count)),
                            "threads": 16, "timeout": 60,
                        ])
                        for step in 1...3 {
                            try await eventually { tally["all"] >= step * 50 }
                            try await broker.closeConnections(virtualHost: virtualHost)
                        }
                        let outcomes = try #require(try await flood.result?["outcomes"]?.objectValue)
                        let right = outcomes["right"]?.intValue ?? 0
                        // The library itself gives up now and then when it is cut off while it reconnects; what it
                        // has sent is answered, and rightly.
                        let ours = ["wrong", "MessagingTimeout", "RuntimeError", "RemoteError"]
                        #expect(!outcomes.contains { ours.contains($0.key) }, "\(outcomes.map { $0.key })")
                        #expect(right > count / 2)
                        try await eventually { worker.status.outstanding == 0 }
                        #expect(tally["all"] >= right)
                    }
                }
                #expect((0..<count).allSatisfy { tally["\($0)"] <= 1 })
            }
        }
    }
}
