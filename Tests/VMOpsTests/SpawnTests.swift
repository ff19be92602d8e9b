import Foundation
import HostBackend
import Journal
import SimulatedHost
import Synchronization
import TestSupport
import Testing

@testable import VMOps

@Suite(.timeLimit(.minutes(5))) struct SpawnTests {
    private static let primitives: [(Primitive, String)] = [
        (.probe, "InstanceDeployFailure"), (.image, "CouldNotFetchImage"),
        (.createDisk, "InstanceDeployFailure"), (.connectVolume, "VolumeAttachFailed"),
        (.buildConfigDrive, "InstanceDeployFailure"), (.createMachine, "InstanceDeployFailure"),
        (.plugInterface, "VirtualInterfacePlugException"), (.setState, "InstanceDeployFailure"),
        (.machine, "InstanceDeployFailure"),
    ]

    private func fullRequest(_ host: TestHost, _ uuid: InstanceUUID) throws -> SpawnRequest {
        var request = host.request(
            uuid,
            volumes: [try host.world.volume("a-\(uuid)"), try host.world.volume("b-\(uuid)")],
            interfaces: 2,
            image: "image",
            configDrive: true
        )
        request.ephemeralGB = [1, 2]
        return request
    }

    /// The fault comes before the work, or after it so that only the answer is lost, at the first or the second call.
    @Test(arguments: primitives, [false, true])
    func aFaultAtAnyStepLeavesNothing(_ step: (primitive: Primitive, error: String), after: Bool) async throws {
        for call in [1, 2] {
            // Without an answer there is nothing whose answer could be lost.
            if after, step.primitive == .machine { continue }
            // The others are asked once only.
            if call == 2, ![.createDisk, .plugInterface, .connectVolume].contains(step.primitive) { continue }
            try await TestWorld.withHost { options in
                options.simulated.plan.faults[step.primitive] = [
                    FaultRule(when: .nth(UInt64(call)), what: .fail(.internal), after: after)
                ]
            } _: { host in
                try host.world.image()
                let uuid = newUUID()
                let request = try fullRequest(host, uuid)
                let error = await #expect(throws: OperationError.self) {
                    try await host.operations.spawn(request, host.context)
                }
                #expect(error?.code.className == step.error)
                #expect(error.map { "\($0)" }?.contains("simulated fault in \(step.primitive.rawValue)") == true)
                #expect(try await host.traces(uuid) == [])
                let info = try await host.operations.spawn(request, host.context)
                #expect(info.state == "running")
                #expect(try await host.record(uuid)?.complete == true)
            }
        }
    }

    @Test func everythingIsMadeWhereItBelongs() async throws {
        try await TestWorld.withHost { host in
            try host.world.image()
            let uuid = newUUID()
            _ = try await host.operations.spawn(try fullRequest(host, uuid), host.context)
            let record = try #require(try await host.record(uuid))
            let addresses = record.disks.map {
                "\($0.role) \($0.address.bus) \($0.address.controller):\($0.address.unit)"
            }
            #expect(
                addresses == [
                    "root ide 0:0", "ephemeral ide 0:1", "ephemeral scsi 0:0", "volume scsi 0:1", "volume scsi 0:2",
                    "configDrive ide 1:0",
                ]
            )
            #expect(record.disks.allSatisfy { FileManager.default.fileExists(atPath: $0.path) })
            #expect(host.world.simulated.pluggedInterfaces.count == 2)
            #expect(host.world.simulated.connectedVolumes.count == 2)
            try await host.destroy(uuid, volumes: try fullRequest(host, uuid).volumes)
            #expect(try await host.traces(uuid) == [])
        }
    }

    @Test func classesOfRefusals() async throws {
        try await TestWorld.withHost { host in
            try host.world.image()
            var unknown = host.request(image: "nothing")
            var volume = host.request(volumes: [try host.world.volume()])
            volume.volumes[0].type = "iscsi"
            #expect(
                try await errorClass { _ = try await host.operations.spawn(unknown, host.context) } == "ImageNotFound"
            )
            unknown.imageRef = "../image"
            #expect(
                try await errorClass { _ = try await host.operations.spawn(unknown, host.context) }
                    == "ImageUnacceptable"
            )
            #expect(
                try await errorClass { _ = try await host.operations.spawn(volume, host.context) }
                    == "VolumeDriverNotFound"
            )
            #expect(try await host.traces(unknown.uuid) == [])
            #expect(try await host.traces(volume.uuid) == [])
        }
    }

    @Test func aJournalThatCannotWriteFailsTheSpawnAndLeavesNothing() async throws {
        try await TestWorld.withHost { host in
            try host.world.image()
            let uuid = newUUID()
            let request = try fullRequest(host, uuid)
            // The journal closes while the machine is made: the record cannot be completed any more.
            host.world.simulated.setHook { [journal = host.journal] _, primitive, _ in
                if primitive == .createMachine { await journal.close() }
            }
            let failure = try await errorClass { _ = try await host.operations.spawn(request, host.context) }
            #expect(failure == "InstanceDeployFailure")
            host.world.simulated.setHook(nil)
            #expect(!host.exists(host.directory(uuid)))
            #expect(try await host.backend.machines().isEmpty)
            #expect(host.world.simulated.pluggedInterfaces.isEmpty)
            #expect(host.world.simulated.connectedVolumes.isEmpty)
            #expect(host.operations.instance(uuid) == nil)
            await host.kill()
            let next = try await host.world.host("host-a")
            #expect(try await next.traces(uuid) == [])
        }
    }

    @Test func aRedeliveredRequestChangesNothing() async throws {
        try await TestWorld.withHost { host in
            let uuid = newUUID()
            let context = OperationContext(requestKey: "request-1")
            _ = try await host.operations.spawn(host.request(uuid), context)
            let incarnation = try await host.backend.machine(uuid).incarnation
            let again = try await host.operations.spawn(host.request(uuid), context)
            #expect(again.state == "running")
            #expect(try await host.backend.machine(uuid).incarnation == incarnation)
            let other = try await errorClass {
                _ = try await host.operations.spawn(host.request(uuid), OperationContext(requestKey: "request-2"))
            }
            #expect(other == "InstanceExists")
        }
    }

    @Test func aRedeliveryIsKnownAfterARestart() async throws {
        try await TestWorld.with { world in
            let uuid = newUUID()
            let context = OperationContext(requestKey: "request-1")
            let first = try await world.host("host-a")
            _ = try await first.operations.spawn(first.request(uuid), context)
            await first.kill()
            let next = try await world.host("host-a")
            #expect(try await next.operations.spawn(next.request(uuid), context).state == "running")
        }
    }

    @Test func aForeignDirectoryIsMovedAside() async throws {
        try await TestWorld.withHost { host in
            let uuid = newUUID()
            try FileManager.default.createDirectory(atPath: host.directory(uuid), withIntermediateDirectories: true)
            try Data("precious".utf8).write(to: URL(fileURLWithPath: host.directory(uuid) + "/file"))
            try await host.spawn(uuid: uuid)
            let aside = try FileManager.default.contentsOfDirectory(atPath: host.instancesPath)
                .filter { $0.contains(".orphan-") }
            #expect(aside.count == 1)
            let kept = try Data(contentsOf: URL(fileURLWithPath: "\(host.instancesPath)/\(aside[0])/file"))
            #expect(String(decoding: kept, as: UTF8.self) == "precious")
            #expect(!host.exists(host.directory(uuid) + "/file"))
        }
    }

    @Test func ofTwoSpawnsAtOnceOneWins() async throws {
        try await TestWorld.withHost { host in
            let uuid = newUUID()
            async let first = errorClass { try await host.spawn(uuid: uuid) }
            async let second = errorClass { try await host.spawn(uuid: uuid) }
            let outcomes = try await [first, second]
            #expect(outcomes.compactMap(\.self) == ["InstanceExists"])
            #expect(try await host.state(uuid) == "running")
        }
    }

    @Test func faultsFromTheRequestReachPrimitivesWithoutAnInstance() async throws {
        try await TestWorld.withHost { host in
            try host.world.image()
            let uuid = newUUID()
            let request = host.request(uuid, ["sim.fault.image": "always resource_exhausted"], image: "image")
            let failure = try await errorClass { _ = try await host.operations.spawn(request, host.context) }
            #expect(failure == "CouldNotFetchImage")
            #expect(try await host.traces(uuid) == [])
        }
    }

    @Test func aCancelledSpawnLeavesNothing() async throws {
        try await TestWorld.withHost { host in
            let uuid = newUUID()
            let gate = Gate()
            host.world.simulated.setHook { _, primitive, _ in
                if primitive == .setState, !Task.isCancelled { await gate.pass() }
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { _ = try? await host.spawn(uuid: uuid, interfaces: 1) }
                await gate.untilReached()
                group.cancelAll()
                gate.open()
                try await group.waitForAll()
            }
            host.world.simulated.setHook(nil)
            let isComplete = try await host.record(uuid)?.complete == true
            #expect(try await host.traces(uuid).isEmpty == !isComplete)
        }
    }
}
