import Journal
import Logging
import OsloMessaging
import RPCWorker
import Support
import TestSupport
import Testing

/// Requests that cannot be made durable.
@Suite(
    .enabled(if: TestBroker.isAvailable, "\(TestBroker.missing)"),
    .enabled(if: PythonPeer.isAvailable, "\(PythonPeer.missing)"),
    .timeLimit(.minutes(5))
)
struct JournalFailureTests {
    @Test func callsAreRefusedCastsWaitAndReadsGoOn() async throws {
        let gate = Gate()
        let tally = Tally()
        let limits = JournalSettings(sizeLimit: 300_000, ageingInterval: .zero)
        try await withTemporaryDirectory { directory in
            let hosts = TestHosts(in: directory, journals: limits) { _ in waitingEndpoints(gate, tally) }
            try await TestBroker.withVirtualHost { url in
                try await withWorker(hosts, url: url) { worker in
                    try await OsloClient.run(.v18_3_1, url: url) { client in
                        let ballast = JSONValue.string(String(repeating: "x", count: 400_000))
                        async let large = client.call("wait", ["ballast": ballast])
                        try await eventually { gate.arrived == 1 }
                        let refused = try await client.call("echo")
                        #expect(refused.raised == "RuntimeError")
                        #expect(refused.text.hasPrefix("the journal of host host-a cannot be written"))
                        try await client.cast("echo")
                        #expect(try await client.call("look").result == "seen")
                        #expect(tally["echo"] == 0)
                        gate.open()
                        #expect(try await large.result == "waited")
                        try await eventually { tally["echo"] == 1 }
                    }
                }
            }
        }
    }

    @Test func operationsAreLoggedWithoutTheirArguments() async throws {
        let lines = LogLines()
        let uuid = UniqueID.makeDashed()
        try await withTemporaryDirectory { directory in
            let hosts = TestHosts(in: directory) { echoEndpoints($0) }
            try await TestBroker.withVirtualHost { url in
                try await withWorker(hosts, url: url, logger: lines.logger) { _ in
                    try await OsloClient.run(.v18_3_1, url: url) { client in
                        let args: JSONObject = [
                            "instance": ["uuid": .string(uuid)], "admin_password": "hush-hush", "value": "hush-hush",
                        ]
                        _ = try await client.call("echo_mutating", args, ["context": ["request_id": "req-1"]])
                        _ = try await client.call("fail_mutating", args.merging("kind", "foreign"))
                    }
                }
            }
        }
        let operations = lines.all.filter { $0.message == "operation" && $0.level == .info }
        try #require(operations.count == 2)
        #expect(operations[0].metadata["outcome"] == "ok")
        #expect(operations[0].metadata["request_id"] == "req-1")
        #expect(operations[0].metadata["instance"] == uuid)
        #expect(operations[0].metadata["host"] == "host-a")
        #expect(operations[0].metadata["duration_ms"] != nil)
        #expect(operations[0].metadata["waited_ms"] != nil)
        #expect(operations[1].metadata["outcome"] == "InstanceNotFound")
        for line in lines.all {
            #expect(!line.message.contains("hush") && !line.metadata.values.contains { $0.contains("hush") })
        }
    }
}

extension JSONObject {
    fileprivate func merging(_ key: String, _ value: JSONValue) -> JSONObject {
        var copy = self
        copy[key] = value
        return copy
    }
}
