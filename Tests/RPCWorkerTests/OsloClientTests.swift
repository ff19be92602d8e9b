import JSONCodec
import Logging
import OsloMessaging
import RPCWorker
import Support
import TestSupport
import Testing

/// The worker against a real broker and a real Python client, of both versions.
@Suite(
    .enabled(if: TestBroker.isAvailable, "\(TestBroker.missing)"),
    .enabled(if: PythonPeer.isAvailable, "\(PythonPeer.missing)"),
    .timeLimit(.minutes(5))
)
struct OsloClientTests {
    /// A worker for `hosts` and a client of `version`, on a virtual host of their own.
    private func with(
        _ version: OsloVersion,
        hosts: [String] = ["host-a"],
        tally: Tally = Tally(),
        settings: RPCWorkerSettings = RPCWorkerSettings(topics: ["compute"], ping: true),
        _ body: @escaping @Sendable (OsloClient, RPCWorker) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory { directory in
            try await TestBroker.withVirtualHost { url in
                let served = TestHosts(in: directory, hosts) { echoEndpoints($0, tally: tally) }
                try await withWorker(served, url: url, settings: settings) { worker in
                    try await OsloClient.run(version, url: url) { client in try await body(client, worker) }
                }
            }
        }
    }

    @Test(arguments: OsloVersion.allCases)
    func resultsArriveAsTheyAre(version: OsloVersion) async throws {
        let values: [JSONValue] = [
            .null, false, true, 0, "", [], [:], "ünïcode 🚀 \u{0} \u{1}", .int(.max), .int(.min), 0.1, 1e300, -2.5,
            .bigInteger("123456789012345678901234567890"), [1, [2, ["three": .null]]], ["a": ["b": [true, "c"]]],
        ]
        try await with(version) { client, _ in
            for method in ["echo", "echo_read", "echo_mutating"] {
                for value in values {
                    let answer = try await client.call(method, ["value": value])
                    #expect(answer.result == value, "\(method): \(answer.fields)")
                }
            }
        }
    }

    @Test(arguments: OsloVersion.allCases)
    func failuresAreRaised(version: OsloVersion) async throws {
        try await with(version) { client, _ in
            for method in ["fail", "fail_read", "fail_mutating"] {
                let builtin = try await client.call(method, ["kind": "builtin"])
                #expect(builtin.raised == "ValueError")
                #expect(builtin.text.hasPrefix("bad value é\nTraceback"))
                let foreign = try await client.call(method, ["kind": "foreign"])
                // Nova is not installed at the client, so the class cannot be rebuilt there.
                #expect(foreign.raised == "RemoteError")
                #expect(foreign.remoteType == "InstanceNotFound")
                #expect(foreign.remoteValue == "Instance 7 could not be found.")
                let unplanned = try await client.call(method)
                #expect(unplanned.raised == "RuntimeError")
            }
            for method in ["unencodable", "unencodable_mutating"] {
                #expect(try await client.call(method).raised == "ValueError")
            }
        }
    }

    @Test(arguments: OsloVersion.allCases)
    func whatNobodyServesIsRefused(version: OsloVersion) async throws {
        try await with(version) { client, _ in
            let unknown = try await client.call("nothing")
            #expect(unknown.raised == "NoSuchMethod_Remote")
            #expect(unknown.text.hasPrefix("Endpoint does not support RPC method nothing"))
            #expect(try await client.call("_hidden").raised == "NoSuchMethod_Remote")
            for more: JSONObject in [["version": "1.2"], ["version": "2.0"], ["namespace": "unknown"]] {
                #expect(try await client.call("echo", [:], more).raised == "UnsupportedVersion_Remote")
            }
            let other = try await client.call("echo", [:], ["namespace": "other", "version": "1.1"])
            #expect(other.result == "from the other namespace")
            #expect(try await client.call("oslo_rpc_server_ping").result == "pong")
            #expect(
                try await client.call("context", [:], ["context": ["request_id": "r"]]).result?["request_id"] == "r"
            )
        }
    }

    @Test(arguments: OsloVersion.allCases)
    func castsAndFanoutsReachTheirHosts(version: OsloVersion) async throws {
        let tally = Tally()
        try await with(version, hosts: ["host-a", "host-b"], tally: tally) { client, _ in
            #expect(try await client.call("whoami", host: "host-b").result == "host-b")
            #expect(["host-a", "host-b"].contains(try await client.call("whoami", host: nil).result?.stringValue))
            try await client.cast("count", ["name": "cast"])
            try await eventually { tally["cast"] == 1 }
            // Both hosts of the process get the same `_unique_id`.
            try await client.fanout("count", ["name": "fanout"])
            try await eventually { tally["fanout"] == 2 }
            try await client.cast("fail_mutating")
            #expect(try await client.call("count", ["name": "cast"]).result == 2)
        }
    }

    @Test(arguments: OsloVersion.allCases)
    func manyDurableCallsAreEachRunOnce(version: OsloVersion) async throws {
        let tally = Tally()
        try await with(version, tally: tally) { client, worker in
            let flood = try await client.ask([
                "op": "flood", "method": "number", "server": "host-a", "count": 400, "threads": 16, "timeout": 60,
            ])
            #expect(flood.result?["outcomes"] == ["right": 400])
            #expect(tally["number"] == 400)
            try await eventually { worker.status.outstanding == 0 }
        }
    }

    @Test(arguments: OsloVersion.allCases)
    func aMonitoredCallLivesByItsHeartbeats(version: OsloVersion) async throws {
        let gate = Gate()
        let monitor: Int64 = Sanitizer.choose(8, otherwise: 2)
        try await withTemporaryDirectory { directory in
            try await TestBroker.withVirtualHost { url in
                let hosts = TestHosts(in: directory) { _ in
                    [
                        TestEndpoint([
                            "wait": .mutating { _ in
                                await gate.pass()
                                return "done"
                            }
                        ])
                    ]
                }
                try await withWorker(hosts, url: url) { worker in
                    try await OsloClient.run(version, url: url) { client in
                        async let answer = client.call("wait", [:], ["monitor": .int(monitor)])
                        // Twice as long as the caller would wait without a sign of life.
                        try await Task.sleep(for: .seconds(2 * monitor))
                        #expect(worker.status.monitoredCalls == 1)
                        gate.open()
                        #expect(try await answer.result == "done")
                        #expect(worker.status.monitoredCalls == 0)
                    }
                }
            }
        }
    }
}
