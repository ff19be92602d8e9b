import Foundation
import HostBackend
import SimulatedHost
import Support
import Synchronization
import TestSupport
import Testing

@testable import VMOps

@Suite(.timeLimit(.minutes(5))) struct DestroyTests {
    private static let primitives: [Primitive] = [
        .cancelJobs, .setState, .deleteMachine, .unplugInterface, .disconnectVolume,
    ]

    @Test(arguments: primitives)
    func afterAFaultARepetitionFinishes(_ primitive: Primitive) async throws {
        try await TestWorld.withHost { host in
            let uuid = newUUID()
            let volume = try host.world.volume()
            let request = host.request(uuid, volumes: [volume], interfaces: 2)
            _ = try await host.operations.spawn(request, host.context)
            let calls = Atomic<Int>(0)
            host.world.simulated.setHook { _, called, _ in
                if called == primitive, calls.add(1, ordering: .relaxed).newValue == 1 {
                    throw BackendError(.internal, "once")
                }
            }
            let failure = try await errorClass { try await host.destroy(uuid, volumes: [volume]) }
            #expect(failure == "InstanceTerminationFailure")
            // Everything else was done all the same.
            #expect(host.world.simulated.pluggedInterfaces.count == (primitive == .unplugInterface ? 1 : 0))
            #expect(host.world.simulated.connectedVolumes.count == (primitive == .disconnectVolume ? 1 : 0))
            #expect(host.exists(host.directory(uuid)) == (primitive == .deleteMachine))
            try await host.destroy(uuid, volumes: [volume])
            #expect(try await host.traces(uuid) == [])
            try await host.destroy(uuid, volumes: [volume])
        }
    }

    @Test func aMissingInstanceIsDestroyedAlready() async throws {
        try await TestWorld.withHost { host in
            let uuid = newUUID()
            try await host.destroy(uuid)
            #expect(host.observer.all == [])
            #expect(host.operations.instance(uuid) == nil)
        }
    }

    @Test func aMachineOfOursWithoutARecordIsRemoved() async throws {
        try await TestWorld.withHost { host in
            let uuid = newUUID()
            let spec = MachineSpec(
                uuid: uuid,
                name: "lost",
                directory: host.directory(uuid),
                memoryMB: 64,
                vcpus: 1
            )
            try await host.backend.createMachine(spec)
            _ = try await host.backend.setState(uuid, .running, deadline: .seconds(5))
            try await host.destroy(uuid)
            #expect(try await host.traces(uuid) == [])
        }
    }

    @Test func aMachineThatVanishedIsNoObstacle() async throws {
        try await TestWorld.withHost { host in
            let uuid = try await host.spawn(interfaces: 1)
            try await host.backend.deleteMachine(uuid)
            #expect(try await host.state(uuid) == "error")
            #expect(try await errorClass { _ = try await host.powerOff(uuid) } == "InstanceNotFound")
            try await host.destroy(uuid)
            #expect(try await host.traces(uuid) == [])
        }
    }

    @Test func aDirectoryThatWasKeptIsReplacedByTheNextSpawn() async throws {
        try await TestWorld.withHost { host in
            let uuid = try await host.spawn()
            try await host.destroy(uuid, disks: false)
            #expect(host.exists(host.directory(uuid)))
            #expect(try await host.record(uuid) == nil)
            try await host.spawn(uuid: uuid)
            try await host.destroy(uuid)
            #expect(try await host.traces(uuid) == [])
        }
    }

    @Test func lateEventsMakeNothingAgain() async throws {
        try await TestWorld.withHost { host in
            let uuid = try await host.spawn(["sim.lines_per_second": "1000"])
            let gate = Gate()
            host.world.simulated.setHook { _, primitive, _ in
                if primitive == .deleteMachine { await gate.pass() }
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await host.destroy(uuid) }
                await gate.untilReached()
                let instance = try #require(host.operations.instance(uuid))
                let event = MachineEvent(sequence: 1, uuid: uuid, incarnation: .max, kind: .started)
                if instance.queue(event) {
                    group.addTask {
                        try? await instance.lane.run { try await host.operations.handlePendingEvents(instance) }
                    }
                }
                gate.open()
                try await group.waitForAll()
            }
            #expect(try await host.traces(uuid) == [])
        }
    }

    /// Directly, and when something else waits between the two.
    @Test(arguments: [false, true])
    func destroyDoesNotSitOutASoftShutdown(queuedBehind: Bool) async throws {
        try await TestWorld.withHost { host in
            let uuid = try await host.spawn(["sim.shutdown": "ignore"])
            let outcomes = try await withThrowingTaskGroup(of: String?.self) { group in
                for number in 0..<(queuedBehind ? 2 : 1) {
                    group.addTask {
                        try await errorClass { _ = try await host.powerOff(uuid, seconds: 3600, interval: 3600) }
                    }
                    try await host.untilRunning("power_off", uuid)
                    let instance = try #require(host.operations.instance(uuid))
                    try await eventually("in the lane") { instance.lane.waiting >= number }
                }
                group.addTask { try await errorClass { try await host.destroy(uuid) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(outcomes.compactMap(\.self).allSatisfy { $0 == "InstancePowerOffFailure" })
            #expect(outcomes.count { $0 == nil } == 1)
            #expect(try await host.traces(uuid) == [])
        }
    }
}
