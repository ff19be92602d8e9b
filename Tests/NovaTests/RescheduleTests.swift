import Support
import TestSupport
import Testing
import VMOps

@testable import NovaCompute

/// Boots and resizes that fail at one host and are done at another, by Nova's own conductor, which claims of the new one
/// what they need.
@Suite(.timeLimit(.minutes(20)))
struct RescheduleTests {
    private static let patience = Duration.seconds(150)
    private static let networks: [JSONValue] = [["network_id": .string(CloudTests.network)]]

    @Test func whatNoHostWouldDoOtherwiseIsFinal() {
        for code in [OperationError.Code.imageUnacceptable, .flavorDiskSmallerThanImage, .virtualInterfaceCreate] {
            #expect(NovaMethods.isFinal(OperationError(code, "")))
        }
        #expect(NovaMethods.isFinal(CancellationError()))
        for code in [OperationError.Code.instanceDeployFailure, .hypervisorUnavailable, .imageNotFound] {
            #expect(!NovaMethods.isFinal(OperationError(code, "")))
        }
    }

    /// The hosts that hold something for a consumer.
    private static func holders(
        _ nova: ControlPlane,
        _ cloud: CloudServer,
        of consumer: String
    ) async throws -> Set<String> {
        let held = try await cloud.state("allocation")[consumer]?["allocations"]?.objectValue?.map(\.key) ?? []
        var hosts: Set<String> = []
        for host in ["host-a", "host-b"] where held.contains(try await CloudTests.node(nova, host)) {
            hosts.insert(host)
        }
        return hosts
    }

    private static func fault(_ nova: ControlPlane, _ uuid: String, _ text: String) async throws {
        try await eventually(timeout: patience, "a fault: \(text)") {
            let faults = try await nova.show(uuid)["faults"]?.arrayValue ?? []
            return faults.contains { $0["message"]?.stringValue?.contains(text) == true }
        }
    }

    // MARK: - Boots

    @Test(.needsBroker, .needsNova) func aBootThatFailsIsDoneElsewhere() async throws {
        let options = ["simulated": ["fault_create_disk": "first:2 internal"]]
        try await CloudTests.run(options) { nova, cloud in
            // Nobody else is to be asked, or nobody is left; after that this host makes disks.
            var failed: [String] = []
            for (alternates, retries) in [([], true), (["host-a"], false)] as [([String], Bool)] {
                failed.append(
                    try await CloudTests.build(
                        nova,
                        cloud,
                        Self.networks,
                        on: "host-b",
                        alternates: alternates,
                        retries: retries
                    )
                )
            }
            for uuid in failed {
                try await nova.wait(uuid, "error")
                #expect(try await nova.show(uuid)["host"]?.isNull == true)
                try await Self.fault(nova, uuid, "simulated fault")
            }
            // Another host would not do otherwise.
            let nowhere: [JSONValue] = [["network_id": "5f0d3a11-0000-4000-8000-000000000000"]]
            let refused = try await CloudTests.build(nova, cloud, nowhere, alternates: ["host-b"])
            try await nova.wait(refused, "error")
            #expect(try await nova.show(refused)["events"]?.arrayValue?.contains { $0["host"] == "host-b" } == false)
            #expect(try await cloud.state("allocation").isEmpty)
            #expect(try await cloud.state("port").isEmpty)

            let uuid = try await CloudTests.build(nova, cloud, Self.networks, alternates: ["host-b"])
            let shown = try await nova.wait(uuid, "active")
            #expect(shown["host"] == "host-b" && shown["node"] == "host-b" && shown["launched_on"] == "host-b")
            #expect(shown["faults"] == .array([]))
            #expect(shown["network"]?.arrayValue?.count == 1)
            let ports = try await cloud.state("port")
            #expect(ports.map(\.value["binding:host_id"]) == ["host-b"])
            #expect(ports.first?.value["device_id"]?.stringValue == uuid)
            #expect(try await Self.holders(nova, cloud, of: uuid) == ["host-b"])
            #expect(!nova.hasFiles(uuid, "host-a") && nova.hasFiles(uuid, "host-b"))
            try await CloudTests.delete(nova, uuid)
            #expect(try await cloud.state("port").isEmpty)
        }
    }

    /// The host ends when it has given the boot up, and has asked nobody yet.
    @Test(.needsBroker, .needsNova) func aCrashDoesNotKeepABootFromBeingDoneElsewhere() async throws {
        let options = ["simulated": ["fault_create_disk": "first:1 internal"]]
        try await CloudTests.run(options) { nova, cloud in
            try await cloud.fail("GET", "/placement/allocations", status: -1, count: 100)
            let uuid = try await CloudTests.build(nova, cloud, Self.networks, alternates: ["host-b"])
            try await eventually(timeout: Self.patience, "the host gives it up") {
                let shown = try await nova.show(uuid)
                let asked = try await cloud.count("GET", "/placement/allocations/\(uuid)")
                return shown["task_state"] == "scheduling" && shown["host"]?.isNull == true && asked > 0
            }
            try await nova.daemon.kill()
            try await cloud.tell("heal")
            try await cloud.tell("release")
            try await nova.restart(only: ["host-a", "host-b"])
            #expect(try await nova.wait(uuid, "active")["host"] == "host-b")
            #expect(try await Self.holders(nova, cloud, of: uuid) == ["host-b"])
            #expect(try await cloud.state("port").map(\.value["binding:host_id"]) == ["host-b"])
            #expect(!nova.hasFiles(uuid, "host-a"))
        }
    }

    // MARK: - Resizes

    @Test(.needsBroker, .needsNova) func aResizeThatCannotComeGoesElsewhere() async throws {
        try await ResizeTests.run { nova, cloud in
            let uuid = try await ResizeTests.boot(nova, cloud)
            // To itself; the other one takes it.
            let first = try await ResizeTests.move(nova, uuid, to: "host-a", alternates: ["host-b"])
            let there = try await ResizeTests.settled(["finished", "error"], first, nova)
            #expect(there["vm_state"] == "resized" && there["host"] == "host-b")
            try await Self.fault(nova, uuid, "Unable to migrate instance")
            #expect(try await Self.holders(nova, cloud, of: uuid) == ["host-b"])
            #expect(try await Self.holders(nova, cloud, of: first.uuid) == ["host-a"])
            try await nova.ask("confirm", ["uuid": .string(uuid), "migration": .int(first.migration)])
            #expect(try await ResizeTests.settled(["confirmed"], first, nova)["vm_state"] == "active")

            // No host is large enough, and no other is left at the end.
            let huge: JSONValue = ["memory_mb": .int(1 << 23), "vcpus": 1, "root_gb": 1]
            let second = try await ResizeTests.move(nova, uuid, to: "host-a", flavor: huge, alternates: ["host-a"])
            let stayed = try await ResizeTests.settled(["finished", "error"], second, nova)
            #expect(stayed["migration"] == "error" && stayed["vm_state"] == "active" && stayed["host"] == "host-b")
            try await Self.fault(nova, uuid, "MB of memory")
            let flavors = try await ResizeTests.flavors(nova, uuid)
            #expect(flavors["flavor"] == "1" && flavors["new_flavor"]?.isNull == true)
            #expect(try await Self.holders(nova, cloud, of: uuid) == ["host-b"])
            #expect(try await Self.holders(nova, cloud, of: second.uuid).isEmpty)

            // The host ends before it has asked for another one.
            try await cloud.fail("GET", "/placement/allocations", status: -1, count: 100)
            let third = try await ResizeTests.move(nova, uuid, to: "host-b", alternates: ["host-a"])
            try await eventually(timeout: Self.patience, "the share is looked for") {
                try await cloud.count("GET", "/placement/allocations/\(third.uuid)") > 0
            }
            try await nova.daemon.kill()
            try await cloud.tell("heal")
            try await cloud.tell("release")
            try await nova.daemon.start()
            let back = try await ResizeTests.settled(["finished", "error"], third, nova)
            #expect(back["vm_state"] == "resized" && back["host"] == "host-a")
            #expect(try await Self.holders(nova, cloud, of: uuid) == ["host-a"])
        }
    }
}
