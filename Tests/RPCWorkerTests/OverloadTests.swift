import AMQPTransport
import OsloMessaging
import RPCWorker
import Support
import TestSupport
import Testing

@Suite(
    .enabled(if: TestBroker.isAvailable, "\(TestBroker.missing)"),
    .enabled(if: PythonPeer.isAvailable, "\(PythonPeer.missing)"),
    .timeLimit(.minutes(5))
)
struct OverloadTests {
    private func with(
        _ settings: RPCWorkerSettings,
        hosts: [String] = ["host-a"],
        _ endpoints: @escaping @Sendable (String) -> [any RPCEndpoint],
        _ body: @escaping @Sendable (OsloClient, RPCWorker) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory { directory in
            try await TestBroker.withVirtualHost { url in
                let served = TestHosts(in: directory, hosts, endpoints)
                try await withWorker(served, url: url, settings: settings) { worker in
                    try await OsloClient.run(.v18_3_1, url: url) { client in try await body(client, worker) }
                }
            }
        }
    }

    @Test func readsAreAnsweredWhileMutatingRequestsWait() async throws {
        let gate = Gate()
        let tally = Tally()
        let settings = RPCWorkerSettings(
            topics: ["compute"],
            prefetch: 10,
            admission: AdmissionLimits(running: 2, resident: 5)
        )
        try await with(settings, { _ in waitingEndpoints(gate, tally) }) { client, worker in
            for _ in 0..<100 { try await client.cast("wait") }
            #expect(try await client.call("look").result == "seen")
            try await eventually { worker.status.queued == 98 }
            #expect(gate.arrived == 2)
            gate.open()
            try await eventually { tally["wait"] == 100 }
        }
    }

    @Test func whatHasNoPlaceStaysWithTheBrokerAndIsServedLater() async throws {
        let gate = Gate()
        let tally = Tally()
        let settings = RPCWorkerSettings(
            topics: ["compute"],
            prefetch: 5,
            admission: AdmissionLimits(running: 1, queued: 3)
        )
        try await with(settings, { _ in waitingEndpoints(gate, tally) }) { client, worker in
            for _ in 0..<50 { try await client.cast("wait") }
            try await eventually { worker.status.held == 5 }
            #expect(worker.status.queued == 3)
            #expect(worker.status.sessions.first?.deliveries == 9)
            gate.open()
            try await eventually { tally["wait"] == 50 }
            try await eventually { worker.status.outstanding == 0 }
        }
    }

    @Test func aFloodForOneHostDoesNotKeepAnotherWaiting() async throws {
        let gate = Gate()
        let settings = RPCWorkerSettings(
            topics: ["compute"],
            admission: AdmissionLimits(running: 4, runningPerHost: 3)
        )
        try await with(settings, hosts: ["host-a", "host-b"], { _ in waitingEndpoints(gate) }) { client, worker in
            for _ in 0..<50 { try await client.cast("wait", host: "host-a") }
            try await eventually { gate.arrived == 3 && worker.status.queued == 47 }
            #expect(try await client.call("echo", ["value": 1], host: "host-b").result == 1)
            gate.open()
        }
    }

    @Test func moreReadsThanPlacesAreAllAnswered() async throws {
        let tally = Tally()
        let settings = RPCWorkerSettings(topics: ["compute"], prefetch: 20, reads: 2)
        try await with(settings, { echoEndpoints($0, tally: tally) }) { client, worker in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<60 {
                    group.addTask {
                        let value = JSONValue.int(Int64(number))
                        let answer = try await client.call("echo_read", ["value": value])
                        #expect(answer.result == value)
                    }
                }
                try await group.waitForAll()
            }
            #expect(tally["echo"] == 60)
            #expect(worker.status.outstanding == 0)
        }
    }

    @Test func hostsAreSpreadOverSessions() async throws {
        let names = (1...5).map { "host-\($0)" }
        let settings = RPCWorkerSettings(topics: ["compute", "compute-alt"], sessions: 2)
        try await with(settings, hosts: names, { echoEndpoints($0) }) { client, worker in
            #expect(worker.status.sessions.count == 2)
            for name in names {
                #expect(try await client.call("whoami", host: name).result == .string(name))
                let other = try await client.call("whoami", host: name, ["topic": "compute-alt"])
                #expect(other.result == .string(name))
            }
        }
    }
}
