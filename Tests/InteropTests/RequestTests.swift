import Support
import TestSupport
import Testing

/// What a Python client sends reaches the hosts that it names, and versions and names are judged as Python does.
@Suite(.needsBroker, .needsPython, .timeLimit(.minutes(5)))
struct RequestTests {
    @Test(arguments: OsloVersion.allCases)
    func callsAndCastsReachTheirHosts(version: OsloVersion) async throws {
        try await Interop.run(version) { interop in
            let client = interop.client
            for host in ["host-a", "host-b"] {
                #expect(try await client.call("ping", host: host).result?["host"] == .string(host))
            }
            let any = try await client.call("ping", host: nil)
            #expect(["host-a", "host-b"].contains(any.result?["host"]?.stringValue))
            #expect(try await client.call("ping", [:], ["topic": "compute-alt"]).result?["host"] == "host-a")

            let directed = NewInstance("directed")
            try await client.cast("spawn", ["instance": directed.argument])
            try await eventually("the cast to a server") {
                try await client.call("list_instances").result == ["directed"]
            }
            #expect(try await client.call("list_instances", host: "host-b").result == [])

            let anywhere = NewInstance("anywhere")
            try await client.cast("spawn", ["instance": anywhere.argument], host: nil)
            try await eventually("the cast to the topic") {
                let names = try await client.call("list_instances").result?.arrayValue ?? []
                let others = try await client.call("list_instances", host: "host-b").result?.arrayValue ?? []
                return (names + others).contains("anywhere")
            }
        }
    }

    @Test(arguments: OsloVersion.allCases)
    func aFanoutActsOnEveryHost(version: OsloVersion) async throws {
        try await Interop.run(version) { interop in
            let client = interop.client
            let instance = NewInstance("everywhere")
            try await client.fanout("spawn", ["instance": instance.argument])
            for host in ["host-a", "host-b"] {
                try await eventually("the fan-out on \(host)") {
                    let info = try await client.call("get_info", ["instance": instance.reference], host: host)
                    return info.result?["state"] == "running" && info.result?["host"] == .string(host)
                }
            }
            // Once each: a second run would have failed with InstanceExists.
            #expect(interop.daemon.logLines.allSatisfy { !$0.contains("InstanceExists") })
        }
    }

    @Test(arguments: OsloVersion.allCases)
    func versionsAndNamesAreJudgedAsPythonDoes(version: OsloVersion) async throws {
        try await Interop.run(version, DaemonSettings(hosts: ["host-a"])) { interop in
            let client = interop.client
            for more: JSONObject in [[:], ["version": "1.0"]] {
                #expect(try await client.call("ping", [:], more).result?["host"] == "host-a")
            }
            let refused: [(String, JSONObject, String)] = [
                ("ping", ["version": "1.9"], "Endpoint does not support RPC version 1.9. Attempted method: ping"),
                ("ping", ["version": "2.0"], "Endpoint does not support RPC version 2.0. Attempted method: ping"),
                ("ping", ["namespace": "other"], "Endpoint does not support RPC version 1.0. Attempted method: ping"),
            ]
            for (method, more, text) in refused {
                let answer = try await client.call(method, [:], more)
                #expect(answer.raised == "UnsupportedVersion_Remote")
                #expect(answer.text.hasPrefix(text), "\(answer.text)")
            }
            for method in ["no_such_thing", "_private", "__init__", ""] {
                let answer = try await client.call(method)
                #expect(answer.raised == "NoSuchMethod_Remote")
                #expect(answer.text.hasPrefix("Endpoint does not support RPC method \(method)"), "\(answer.text)")
            }
        }
    }

    @Test(arguments: OsloVersion.allCases)
    func pingOfTheLibraryIsAnsweredWhenEnabled(version: OsloVersion) async throws {
        try await Interop.run(version, DaemonSettings(hosts: ["host-a"])) { interop in
            #expect(try await interop.client.call("oslo_rpc_server_ping").raised == "NoSuchMethod_Remote")
            interop.daemon.settings.options["DEFAULT"] = ["rpc_ping_enabled": "true"]
            try await interop.daemon.restart()
            #expect(try await interop.client.call("oslo_rpc_server_ping").result == "pong")
            #expect(try await interop.client.call("oslo_rpc_server_ping", ["x": 1]).result == "pong")
        }
    }

    @Test(arguments: OsloVersion.allCases)
    func castsWaitForAHostThatIsAwayAndCallsDoNot(version: OsloVersion) async throws {
        try await Interop.run(version, DaemonSettings(hosts: ["host-a"])) { interop in
            let (client, daemon) = (interop.client, interop.daemon)
            #expect(try await client.call("ping").result != nil)
            try await daemon.terminate()

            let called = NewInstance("called")
            let answer = try await client.call("spawn", ["instance": called.argument], ["timeout": 1])
            #expect(answer.raised == "MessagingTimeout")
            let cast = NewInstance("cast")
            try await client.cast("spawn", ["instance": cast.argument])

            try await daemon.start()
            try await eventually("the cast while the host was away") {
                try await client.call("list_instances").result == ["cast"]
            }
        }
    }

    @Test(arguments: OsloVersion.allCases)
    func aHostThatNeverWasTimesOut(version: OsloVersion) async throws {
        try await Interop.run(version, DaemonSettings(hosts: ["host-a"])) { interop in
            let answer = try await interop.client.call("ping", host: "host-z", ["timeout": 1])
            #expect(answer.raised == "MessagingTimeout")
            #expect(answer.text.hasPrefix("Timed out waiting for a reply to message ID"))
            let mandatory = try await interop.client.call("ping", host: "host-z", ["at_least_once": true])
            #expect(mandatory.raised == "MessageUndeliverable")
        }
    }
}
