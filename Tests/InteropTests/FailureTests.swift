import Support
import TestSupport
import Testing

/// What goes wrong on a host is raised at the Python client as the class it can handle.
@Suite(.needsBroker, .needsPython, .timeLimit(.minutes(5)))
struct FailureTests {
    private static let absent: JSONValue = ["uuid": "3f0b6d5e-0c4d-4f55-9d0a-7a1f4e0d9b11"]
    private static let oneHost = DaemonSettings(hosts: ["host-a"])

    @Test(arguments: OsloVersion.allCases)
    func novaClassesAreRebuilt(version: OsloVersion) async throws {
        try await Interop.run(version, Self.oneHost) { interop in
            let client = interop.client
            let text = "Instance 3f0b6d5e-0c4d-4f55-9d0a-7a1f4e0d9b11 could not be found."
            for method in ["get_info", "power_on"] {
                let answer = try await client.call(method, ["instance": Self.absent])
                #expect(answer.raised == "InstanceNotFound_Remote")
                #expect(answer.fields["module"] == "nova.exception_Remote")
                let classes = answer.fields["mro"]?.arrayValue ?? []
                for name in ["InstanceNotFound", "NotFound", "NovaException"] {
                    #expect(classes.contains(.string("nova.exception.\(name)")), "\(classes)")
                }
                #expect(answer.text.hasPrefix(text + "\n"), "\(answer.text)")
                #expect(answer.fields["kwargs"]?["code"] == 404)
                #expect(answer.fields["kwargs"]?["instance_id"] == "3f0b6d5e-0c4d-4f55-9d0a-7a1f4e0d9b11")
            }
            let instance = NewInstance()
            #expect(try await client.call("spawn", ["instance": instance.argument]).raised == nil)
            let twice = try await client.call("spawn", ["instance": instance.argument])
            #expect(twice.raised == "InstanceExists_Remote")
            let state = try await client.call("resume", ["instance": instance.reference])
            #expect(state.raised == nil, "resume of a running instance has nothing to do")
            let unpaused = try await client.call("power_off", ["instance": instance.reference, "timeout": 0])
            #expect(unpaused.result?["state"] == "off")
            let paused = try await client.call("pause", ["instance": instance.reference])
            #expect(paused.raised == "InstanceInvalidState_Remote")
            #expect(paused.fields["kwargs"]?["method"] == "pause")
            let moved = try await client.call("live_migration", ["instance": instance.reference, "dest": "host-z"])
            #expect(moved.raised?.hasSuffix("_Remote") == true, "\(moved.fields)")
        }
    }

    @Test(arguments: OsloVersion.allCases)
    func othersGetARemoteError(version: OsloVersion) async throws {
        try await Interop.run(version, Self.oneHost, clientOptions: ["--allow", "builtins"]) { interop in
            let answer = try await interop.client.call("get_info", ["instance": Self.absent])
            #expect(answer.raised == "RemoteError")
            #expect(answer.remoteType == "InstanceNotFound")
            #expect(answer.remoteValue == "Instance 3f0b6d5e-0c4d-4f55-9d0a-7a1f4e0d9b11 could not be found.")
            let trace = answer.fields["remote"]?["traceback"]?.arrayValue ?? []
            #expect(!trace.isEmpty && trace.allSatisfy { $0.stringValue?.hasSuffix("\n") == true })
            #expect(try await interop.client.call("nothing").remoteType == "NoSuchMethod")
            #expect(try await interop.client.call("ping", [:], ["version": "1.9"]).remoteType == "UnsupportedVersion")
        }
    }

    @Test(arguments: OsloVersion.allCases)
    func wrongArgumentsAreTypeErrors(version: OsloVersion) async throws {
        try await Interop.run(version, Self.oneHost) { interop in
            let missing = try await interop.client.call("get_info")
            #expect(missing.raised == "TypeError")
            #expect(missing.text.contains("instance"), "\(missing.text)")
            for method in ["get_info", "power_on", "spawn"] {
                let extra = try await interop.client.call(method, ["instance": Self.absent, "colour": "blue"])
                #expect(extra.raised == "TypeError")
                #expect(extra.text.contains("colour"), "\(extra.text)")
            }
            let wrong = try await interop.client.call("get_info", ["instance": 7])
            #expect(wrong.raised == "InvalidInput_Remote", "\(wrong.fields)")
            for name in ["a/b", "..", "a\u{0}b", ""] {
                let instance = NewInstance(name)
                let spawned = try await interop.client.call("spawn", ["instance": instance.argument])
                #expect(spawned.raised == "InvalidInput_Remote", "\(spawned.fields)")
            }
            let noUUID = try await interop.client.call("get_info", ["instance": ["uuid": "../../etc"]])
            #expect(noUUID.raised == "InvalidInput_Remote")
        }
    }

    @Test(arguments: OsloVersion.allCases)
    func whatTheHostCannotDoIsNotImplementedError(version: OsloVersion) async throws {
        let settings = DaemonSettings(
            hosts: ["host-a"],
            options: ["simulated": ["without_capabilities": "machine.pause"]]
        )
        try await Interop.run(version, settings) { interop in
            let instance = NewInstance()
            #expect(try await interop.client.call("spawn", ["instance": instance.argument]).raised == nil)
            let answer = try await interop.client.call("pause", ["instance": instance.reference])
            #expect(answer.raised == "NotImplementedError", "\(answer.fields)")
            #expect(answer.fields["module"] == "builtins")
        }
    }
}
