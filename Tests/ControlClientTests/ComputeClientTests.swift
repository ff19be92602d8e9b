import OsloMessaging
import RPCClient
import Support
import Testing

@testable import ControlClient

@Suite struct ComputeClientTests {
    private func error(_ body: () async throws -> Void) async -> ControlError? {
        do {
            try await body()
            return nil
        } catch {
            return error as? ControlError
        }
    }

    @Test func anInstanceIsFoundOnTheHostThatHasIt() async throws {
        let hosts = FakeHosts(["host-a", "host-b"]) { request in
            guard request.host == "host-b" else { throw notFound }
            return info(request.host)
        }
        #expect(try await hosts.client().find(InstanceReference("demo")).host == "host-b")
        #expect(hosts.requests.isEmpty)
        // With a named host nobody else is asked.
        await #expect(throws: notFound) { try await hosts.client(host: "host-a").find(InstanceReference("demo")) }
        #expect(hosts.requests.map(\.host) == ["host-a"])
    }

    @Test func aNameOrAUUIDIsSentAsWhatItIs() {
        #expect(InstanceReference("demo").argument == ["name": "demo"])
        #expect(InstanceReference(demoUUID.uppercased()).argument == ["uuid": .string(demoUUID)])
        #expect(!InstanceReference("6d88d4dee63642c1a1320e9841c37966").isUUID)
        #expect(!InstanceReference("6d88d4de-e636-42c1-a132-0e9841c3796z").isUUID)
    }

    @Test func anInstanceThatNobodyHasIsNotFoundAndSilenceIsNoAnswer() async {
        let hosts = FakeHosts(["host-a", "host-b"]) { _ in throw notFound }
        let missing = await error { _ = try await hosts.client().find(InstanceReference("demo")) }
        #expect(missing?.code == .notFound)
        #expect(missing.map { ExitReport($0).status } == 1)
        #expect(missing.flatMap { ExitReport($0).message }?.hasPrefix("InstanceNotFound: ") == true)
        let nobody = FakeHosts([]) { _ in .null }
        let silence = await error { _ = try await nobody.client().find(InstanceReference("demo")) }
        #expect(silence?.code == .noAnswer)
        #expect(silence.map { ExitReport($0).status } == 3)
    }

    @Test func aNameThatTwoInstancesHaveIsSaid() async {
        let hosts = FakeHosts(["host-a", "host-b"]) { request in
            info(request.host, uuid: request.host == "host-a" ? demoUUID : otherUUID)
        }
        let twice = await error { _ = try await hosts.client().find(InstanceReference("demo")) }
        #expect(twice?.code == .ambiguous)
        for text in ["twice", "host-a", "host-b", demoUUID, otherUUID] {
            #expect(twice?.message.contains(text) == true)
        }
    }

    @Test(arguments: [("running", "migrating-in", "host-a"), ("migrating-out", "running", "host-b")])
    func anInstanceInMigrationIsWhereItRuns(_ source: String, _ destination: String, _ expected: String) async throws {
        let hosts = FakeHosts(["host-a", "host-b"]) { request in
            info(request.host, request.host == "host-a" ? source : destination)
        }
        #expect(try await hosts.client().find(InstanceReference("demo")).host == expected)
    }

    @Test func anotherHostsTroubleMattersOnlyIfNobodyHasTheInstance() async throws {
        let broken = RemoteFailure(className: "HypervisorUnavailable", module: "nova.exception", message: "down")
        let one = FakeHosts(["host-a", "host-b"]) { request in
            guard request.host == "host-b" else { throw broken }
            return info(request.host)
        }
        #expect(try await one.client().find(InstanceReference("demo")).host == "host-b")
        let none = FakeHosts(["host-a", "host-b"]) { request in throw request.host == "host-a" ? broken : notFound }
        await #expect(throws: broken) { try await none.client().find(InstanceReference("demo")) }
    }

    @Test func operationsGoToWhereTheInstanceIsAndAreMonitored() async throws {
        let hosts = FakeHosts(["host-a"]) { request in info(request.host, "off") }
        let client = hosts.client()
        _ = try await client.perform(.powerOff(timeout: 300), InstanceReference("demo"))
        _ = try await client.perform(.reboot(hard: true), InstanceReference("demo"))
        let requests = hosts.requests
        #expect(requests.map(\.method) == ["power_off", "reboot"])
        #expect(requests.map(\.host) == ["host-a", "host-a"])
        #expect(requests[0].args["timeout"] == 300)
        #expect(requests[0].args["instance"] == ["uuid": .string(demoUUID), "name": "demo"])
        // The guest's time is not taken from the answer's.
        #expect(requests[0].timeout == .seconds(330))
        #expect(requests[0].monitorTimeout == .seconds(60))
        #expect(requests[1].args["reboot_type"] == "HARD")
    }

    @Test func theUsersLimitStandsForAllOthers() async throws {
        let hosts = FakeHosts(["host-a"]) { request in info(request.host) }
        _ = try await hosts.client(timeout: .seconds(5)).spawn(SpawnOptions(name: "demo"))
        #expect(hosts.requests[0].timeout == .seconds(5))
        #expect(hosts.requests[0].monitorTimeout == .seconds(5))
        _ = try await hosts.client(timeout: .seconds(1)).perform(.powerOff(timeout: 90), InstanceReference("demo"))
        #expect(hosts.requests[1].timeout == .seconds(120))
        #expect(hosts.requests[1].monitorTimeout == .seconds(2))
    }

    @Test func spawnSaysWhatWasAskedFor() async throws {
        let hosts = FakeHosts([]) { request in info(request.host) }
        let options = SpawnOptions(
            name: "demo",
            uuid: demoUUID.uppercased(),
            image: "cirros",
            memoryMB: 256,
            vcpus: 2,
            rootGB: 3,
            metadata: ["b": "2", "a": "1"]
        )
        try await hosts.client().spawnWithoutWaiting(options)
        #expect(
            hosts.requests[0].args["instance"] == [
                "uuid": .string(demoUUID), "name": "demo", "memory_mb": 256, "vcpus": 2, "root_gb": 3,
                "image_ref": "cirros", "metadata": ["a": "1", "b": "2"],
            ]
        )
        #expect(hosts.requests[0].host == nil)
    }

    @Test func instancesAreListedByHostAndName() async throws {
        let hosts = FakeHosts(["host-b", "host-a"]) { request in
            [info(request.host), info(request.host, uuid: otherUUID)]
        }
        let listed = try await hosts.client().list()
        #expect(listed.map(\.host) == ["host-a", "host-a", "host-b", "host-b"])
        #expect(listed.prefix(2).map(\.uuid) == [otherUUID, demoUUID])
    }

    @Test func exitStatusesTellWhatHappened() {
        #expect(ExitReport(notFound).status == 1)
        #expect(ExitReport(notFound).message == "InstanceNotFound: Instance demo could not be found.")
        #expect(ExitReport(RPCClientError(.timeout, "no answer")).status == 3)
        #expect(ExitReport(RPCClientError(.silence, "no answer")).status == 3)
        #expect(ExitReport(RPCClientError(.unreachable, "no broker")).status == 3)
        #expect(ExitReport(RPCClientError(.undeliverable, "no queue")).status == 1)
        #expect(ExitReport(ControlError(.usage, "what?")).status == 2)
        #expect(ExitReport(CancellationError()).status == 130)
    }
}
