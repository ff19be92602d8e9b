import Support
import TestSupport
import Testing

/// Calls that take long live by heartbeats when they are monitored, and only then.
@Suite(.needsBroker, .needsPython, .timeLimit(.minutes(5)))
struct LongCallTests {
    private static let slow = DaemonSettings(
        hosts: ["host-a"],
        options: ["simulated": ["delay_create_machine_ms": "4500"]]
    )

    @Test(arguments: OsloVersion.allCases)
    func aMonitoredCallOutlivesItsMonitorTimeout(version: OsloVersion) async throws {
        try await Interop.run(version, Self.slow) { interop in
            let instance = NewInstance()
            let answer = try await interop.client.call("spawn", ["instance": instance.argument], ["monitor": 2])
            #expect(answer.result?["state"] == "running", "\(answer.fields)")
            #expect(answer.seconds > 4)
        }
    }

    @Test(arguments: OsloVersion.allCases)
    func heartbeatsComeAtHalfTheTimeoutAndEndWithTheReply(version: OsloVersion) async throws {
        try await Interop.run(version, Self.slow) { interop in
            let instance = NewInstance()
            let body = try RawRequest(
                method: "spawn",
                args: ["instance": instance.argument],
                more: ["_timeout": 2]
            )
            let start = ContinuousClock.now
            let replies = try await body.replies(interop.client, linger: 1.5)
            let most = Int((ContinuousClock.now - start) / .seconds(1)) + 1
            #expect(
                replies.count >= 5 && replies.count <= most,
                "four heartbeats in 4.5 s, one each second: \(replies)"
            )
            for reply in replies {
                #expect(reply["_msg_id"] == .string(body.messageID))
                #expect(reply["failure"] == .null)
                #expect(reply["_unique_id"]?.stringValue?.utf8.count == 32)
            }
            #expect(replies.dropLast().allSatisfy { $0["ending"] == false && $0["result"] == .null })
            #expect(replies.last?["ending"] == true)
            #expect(Set(replies.compactMap { $0["_unique_id"]?.stringValue }).count == replies.count)
        }
    }

    @Test(arguments: OsloVersion.allCases)
    func aCallThatIsNotMonitoredGetsOneMessage(version: OsloVersion) async throws {
        try await Interop.run(version, Self.slow) { interop in
            for timeout: JSONValue in [.null, 0, 1] {
                let instance = NewInstance("web-\(timeout)")
                let body = try RawRequest(
                    method: "spawn",
                    args: ["instance": instance.argument],
                    more: ["_timeout": timeout]
                )
                let replies = try await body.replies(interop.client, count: 1, linger: 0.5)
                #expect(replies.count == 1)
                #expect(replies.first?["ending"] == true)
            }
        }
    }

    @Test(arguments: OsloVersion.allCases)
    func aFailureBeforeTheMethodEndsTheHeartbeats(version: OsloVersion) async throws {
        try await Interop.run(version, DaemonSettings(hosts: ["host-a"])) { interop in
            let body = try RawRequest(method: "no_such_method", args: [:], more: ["_timeout": 2])
            let replies = try await body.replies(interop.client, count: 1, linger: 2.5)
            #expect(replies.count == 1)
            #expect(replies.first?["failure"]?.stringValue?.contains("NoSuchMethod") == true)
        }
    }

    @Test(arguments: OsloVersion.allCases)
    func aDelayOfOneRequestComesFromItsMetadata(version: OsloVersion) async throws {
        try await Interop.run(version, DaemonSettings(hosts: ["host-a"])) { interop in
            let instance = NewInstance("slow", ["metadata": ["sim.delay.create_machine_ms": "2500"]])
            let call = try await interop.client.call("spawn", ["instance": instance.argument], ["timeout": 1])
            #expect(call.raised == "MessagingTimeout")
            try await eventually("the end of the operation nobody waits for") {
                let info = try await interop.client.call("get_info", ["instance": instance.reference])
                return info.result?["state"] == "running"
            }
            // The late reply goes to a queue that the client still reads; it is dropped there and hurts nobody.
            #expect(try await interop.client.call("ping").result?["host"] == "host-a")
        }
    }
}
