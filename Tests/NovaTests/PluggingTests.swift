import Foundation
import Support
import TestSupport
import Testing

@testable import NovaCompute

/// Boots that wait until the network service has connected their ports.
@Suite(.timeLimit(.minutes(20)))
struct PluggingTests {
    // MARK: - What is told

    @Test func whatIsToldBeforeTheWaitIsNotLost() async throws {
        let ports = PluggedPorts()
        ports.note("a", of: "vm", isPlugged: true)
        ports.begin("vm")
        ports.note("b", of: "vm", isPlugged: true)
        ports.note("b", of: "other", isPlugged: true)
        #expect(ports.missing(["a", "b"], of: "vm") == ["a"])
        ports.note("a", of: "vm", isPlugged: true)
        #expect(try await ports.wait(for: ["a", "b"], of: "vm", stopsAtFailure: true).isEmpty)
        ports.end("vm")
        #expect(ports.count == 0)
    }

    @Test func aWaitEndsWithTheLastPortOrTheFirstFailure() async throws {
        let ports = PluggedPorts()
        for instance in ["patient", "strict"] { ports.begin(instance) }
        async let patient = ports.wait(for: ["a", "b"], of: "patient", stopsAtFailure: false)
        async let strict = ports.wait(for: ["a", "b"], of: "strict", stopsAtFailure: true)
        for instance in ["patient", "strict"] { ports.note("a", of: instance, isPlugged: false) }
        #expect(try await strict == ["a"])
        #expect(ports.missing(["a", "b"], of: "patient") == ["b"])
        ports.note("b", of: "patient", isPlugged: true)
        #expect(try await patient == ["a"])
    }

    @Test func aRequestThatComesTwiceTakesNothingFromTheFirst() async throws {
        let ports = PluggedPorts()
        ports.begin("vm")
        async let first = ports.wait(for: ["a"], of: "vm", stopsAtFailure: true)
        ports.begin("vm")
        ports.end("vm")
        ports.note("a", of: "vm", isPlugged: true)
        #expect(try await first.isEmpty)
        ports.end("vm")
        #expect(ports.count == 0)
    }

    @Test func aCancelledWaitEnds() async throws {
        let ports = PluggedPorts()
        ports.begin("vm")
        let wait = Task { try await ports.wait(for: ["a"], of: "vm", stopsAtFailure: true) }
        wait.cancel()
        await #expect(throws: CancellationError.self) { try await wait.value }
        ports.note("a", of: "vm", isPlugged: true)
        ports.end("vm")
    }

    @Test func onlyPortsThatAreDownAndBoundAreWaitedFor() {
        func vif(_ id: String, active: JSONValue = false, type: JSONValue = "bridge", vnic: String = "normal")
            -> JSONValue
        {
            ["id": .string(id), "active": active, "type": type, "vnic_type": .string(vnic)]
        }
        let awaited = NovaMethods.awaited([
            vif("a"), vif("b", active: true), vif("c", type: "unbound"), vif("d", vnic: "remote-managed"),
            vif("e", type: "ovs"), vif("f", active: nil), vif("g", type: nil),
        ])
        #expect(awaited == ["a", "e"])
    }

    // MARK: - With a control plane

    private static func port(_ cloud: CloudServer) async throws -> String {
        var found: String?
        try await eventually(timeout: .seconds(120), "a port is made") {
            found = try await cloud.state("port").first?.key
            return found != nil
        }
        return try #require(found)
    }

    private static func build(_ nova: ControlPlane, _ cloud: CloudServer) async throws -> (uuid: String, port: String) {
        let uuid = try await CloudTests.build(nova, cloud, [["network_id": .string(CloudTests.network)]])
        return (uuid, try await port(cloud))
    }

    private static func tell(_ nova: ControlPlane, _ uuid: String, _ port: String, _ status: String) async throws {
        try await nova.ask("event", ["uuid": .string(uuid), "port": .string(port), "status": .string(status)])
    }

    private static func waits(_ nova: ControlPlane, _ uuid: String) async throws {
        try await nova.daemon.waitForLog("waiting for ports to be connected host=host-a instance=\(uuid)")
    }

    private static func delete(_ nova: ControlPlane, _ cloud: CloudServer, _ uuid: String) async throws {
        try await nova.ask("alter", ["uuid": .string(uuid), "fields": ["task_state": "deleting"]])
        try await nova.compute("terminate_instance", uuid, ["bdms": .array([])], action: "delete")
        try await eventually(timeout: .seconds(120), "the instance and its port are gone") {
            let isDeleted = try await nova.show(uuid)["deleted"] == true
            let ports = try await cloud.state("port")
            return isDeleted && ports.isEmpty
        }
    }

    private static func fails(
        _ nova: ControlPlane,
        _ cloud: CloudServer,
        _ uuid: String,
        _ reason: String
    ) async throws {
        try await nova.wait(uuid, "error")
        // What users are told is written after the state.
        try await eventually(timeout: .seconds(120), "a fault that says: \(reason)") {
            let fault = try await nova.show(uuid)["faults"]?.arrayValue?.first
            return fault?["message"]?.stringValue?.contains(reason) == true
        }
        #expect(try await cloud.state("port").isEmpty)
        #expect(try await cloud.state("allocation").isEmpty)
    }

    private static func restart(_ nova: ControlPlane, _ changes: [String: [String: String]]) async throws {
        var settings = nova.daemon.settings
        for (group, values) in changes { settings.options[group, default: [:]].merge(values) { $1 } }
        nova.daemon.settings = settings
        try await nova.daemon.terminate()
        try await nova.daemon.start()
    }

    @Test(.needsBroker, .needsNova)
    func aMachineStartsWhenItsPortsAreConnected() async throws {
        let options = ["simulated": ["plugs_interfaces": "true"], "DEFAULT": ["vif_plugging_timeout": "1"]]
        try await CloudTests.run(options) { nova, cloud in
            // Nobody connects it.
            let (failing, _) = try await Self.build(nova, cloud)
            try await Self.fails(nova, cloud, failing, "Virtual Interface creation failed")
            try await Self.restart(nova, ["DEFAULT": ["vif_plugging_is_fatal": "false"]])
            let (going, _) = try await Self.build(nova, cloud)
            try await nova.wait(going, "active")
            try await Self.delete(nova, cloud, going)

            // Machines take their time to be made from here on: what is told now is told before anybody waits.
            try await Self.restart(
                nova,
                [
                    "DEFAULT": ["vif_plugging_is_fatal": "true", "vif_plugging_timeout": "3600"],
                    "simulated": ["delay_create_machine_ms": "1000"],
                ]
            )
            let (early, soon) = try await Self.build(nova, cloud)
            try await Self.tell(nova, early, soon, "completed")
            try await nova.wait(early, "active")
            try await Self.delete(nova, cloud, early)

            let (waiting, port) = try await Self.build(nova, cloud)
            try await Self.waits(nova, waiting)
            #expect(try await nova.show(waiting)["task_state"] == "spawning")
            try await Self.tell(nova, waiting, port, "completed")
            #expect(try await nova.wait(waiting, "active")["power_state"] == 1)
            try await Self.delete(nova, cloud, waiting)

            let (refused, bad) = try await Self.build(nova, cloud)
            try await Self.tell(nova, refused, bad, "failed")
            try await Self.fails(nova, cloud, refused, "could not connect \(bad)")

            // Nobody has to sit out the wait of an instance that is to go.
            let (unwanted, _) = try await Self.build(nova, cloud)
            try await Self.waits(nova, unwanted)
            try await Self.delete(nova, cloud, unwanted)

            // The worker dies while a boot waits, and the port is connected meanwhile.
            let (lost, late) = try await Self.build(nova, cloud)
            try await Self.waits(nova, lost)
            try await nova.daemon.kill()
            var changed = try #require(try await cloud.state("port")[late]?.objectValue)
            changed["status"] = "ACTIVE"
            try await cloud.put("port", late, .object(changed))
            try await nova.daemon.start()
            #expect(try await nova.wait(lost, "active")["host"] == "host-a")
        }
    }
}
