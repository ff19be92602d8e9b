import Console
import HostBackend
import Journal
import SimulatedHost
import Support
import Synchronization
import TestSupport
import Testing

@testable import VMOps

@Suite(.timeLimit(.minutes(5))) struct ReadTests {
    @Test func readsDoNotWaitForAnOperation() async throws {
        try await TestWorld.withHost { host in
            let uuid = try await host.spawn()
            try await host.awaitLog(uuid, contains: "login: ")
            let gate = Gate()
            host.world.simulated.setHook { _, primitive, _ in
                if primitive == .setState { await gate.pass() }
            }
            async let off = host.powerOff(uuid)
            await gate.untilReached()
            let info = try await host.operations.info(uuid)
            #expect(info.state == "stopping" && info.task == "power_off" && info.powerState == 1)
            #expect(try host.operations.infoIfKnown(uuid)?.state == "stopping")
            #expect(try await host.log(uuid).contains("login: "))
            #expect(try await host.marks(uuid) == [.boot])
            #expect(try await host.operations.consoleStatus(uuid).state == .attached)
            #expect(try await host.operations.allInfos().count == 1)
            #expect(try await host.operations.listInstanceUUIDs() == [uuid])
            #expect(host.operations.load == (1, 1))
            gate.open()
            #expect(try await off.state == "off")
        }
    }

    @Test func anInstanceIsKnownWhileItIsBuilt() async throws {
        try await TestWorld.withHost { host in
            let gate = Gate()
            host.world.simulated.setHook { _, primitive, _ in
                if primitive == .createMachine { await gate.pass() }
            }
            let uuid = newUUID()
            async let spawned = host.spawn(uuid: uuid)
            await gate.untilReached()
            let info = try await host.operations.info(uuid)
            #expect(info.state == "building" && info.powerState == 0 && info.task == "spawn")
            #expect(try await host.log(uuid) == "")
            gate.open()
            _ = try await spawned
        }
    }

    @Test func aQueueIsBounded() async throws {
        try await TestWorld.withHost({ $0.operations.maxQueuePerInstance = 3 }) { host in
            let uuid = try await host.spawn()
            let gate = Gate()
            host.world.simulated.setHook { _, primitive, _ in
                if primitive == .setState { await gate.pass() }
            }
            try await withThrowingTaskGroup(of: String?.self) { group in
                group.addTask { try await errorClass { _ = try await host.operations.pause(uuid, host.context) } }
                await gate.untilReached()
                let instance = try #require(host.operations.instance(uuid))
                for number in 1...3 {
                    group.addTask { try await errorClass { _ = try await host.powerOff(uuid) } }
                    try await eventually("in the queue") { instance.lane.waiting == number }
                }
                let refused = try await errorClass { _ = try await host.operations.powerOn(uuid, host.context) }
                #expect(refused == "InstancePowerOnFailure")
                gate.open()
                #expect(try await group.reduce(into: 0) { $0 += $1 == nil ? 0 : 1 } == 0)
            }
        }
    }

    @Test func aThousandInstancesOnOneHost() async throws {
        try await TestWorld.withHost { host in
            let uuids = (0..<1000).map { _ in newUUID() }
            func each(_ body: @escaping @Sendable (InstanceUUID) async throws -> Void) async throws {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for (number, uuid) in uuids.enumerated() {
                        if number >= 64 { try await group.next() }
                        group.addTask { try await body(uuid) }
                    }
                    try await group.waitForAll()
                }
            }
            try await each { try await host.spawn(uuid: $0) }
            #expect(try await host.operations.allInfos().count { $0.state == "running" } == 1000)
            try await each { uuid in
                let state = try await host.state(uuid)
                #expect(state == "running")
            }
            try await each { try await host.destroy($0) }
            #expect(try await host.operations.allInfos().isEmpty)
            #expect(try await host.journal.records().isEmpty)
            #expect(try await host.backend.machines().isEmpty)
        }
    }
}

@Suite(.timeLimit(.minutes(5))) struct EventTests {
    @Test func anEventOfAnEarlierIncarnationIsIgnored() async throws {
        try await TestWorld.withHost { host in
            let uuid = try await host.spawn()
            let instance = try #require(host.operations.instance(uuid))
            _ = instance.queue(MachineEvent(sequence: 1, uuid: uuid, incarnation: 1, kind: .rebooted))
            // Any operation deals with what was reported before it.
            _ = try await host.operations.powerOn(uuid, host.context)
            #expect(try await host.marks(uuid) == [.boot])
        }
    }

    @Test func eventsForOneInstanceAreBounded() {
        let uuid = newUUID()
        let instance = Instance(
            InstanceRecord(uuid: uuid, name: "vm", memoryMB: 1, vcpus: 1, rootGB: 0, createdAt: 0)
        )
        let calls = (0..<1000).map {
            instance.queue(MachineEvent(sequence: $0, uuid: uuid, incarnation: 1, kind: .rebooted))
        }
        #expect(calls.count(where: \.self) == 1)
        let left = instance.takeEvents()
        #expect(left.count <= 64)
        #expect(left.last?.sequence == 999)
        #expect(instance.queue(MachineEvent(sequence: 1000, uuid: uuid, incarnation: 1, kind: .rebooted)))
    }

    @Test func theInventoryRepairsWhatEventsMissed() async throws {
        try await TestWorld.withHost({ $0.operations.inventoryInterval = .milliseconds(20) }) { host in
            let uuid = try await host.spawn()
            try await host.awaitLog(uuid, contains: "login: ")
            let instance = try #require(host.operations.instance(uuid))
            // Another one takes the event away before it is seen.
            try await instance.lane.run {
                try await host.type("poweroff", on: uuid)
                try await eventually("off") { try await host.backend.machine(uuid).state == .off }
                _ = instance.takeEvents()
            }
            try await eventually("repaired") { try await host.record(uuid)?.state == .off }
            #expect(try await host.marks(uuid) == [.boot, .stop])
            #expect(try await host.isCaptured(uuid) == false)
        }
    }

    @Test func aLateCrashReportDoesNotCloseTheConsoleOfTheNextBoot() async throws {
        try await TestWorld.withHost { host in
            let uuid = try await host.spawn()
            let incarnation = try await host.backend.machine(uuid).incarnation
            let instance = try #require(host.operations.instance(uuid))
            _ = instance.queue(MachineEvent(sequence: 1, uuid: uuid, incarnation: incarnation, kind: .crashed))
            _ = try await host.operations.powerOn(uuid, host.context)
            #expect(try await host.isCaptured(uuid))
            #expect(try await host.marks(uuid) == [.boot])
        }
    }

    @Test func operationsAreToldInOrder() async throws {
        try await TestWorld.withHost { host in
            let uuid = try await host.spawn()
            _ = try await errorClass { _ = try await host.operations.unpause(newUUID(), host.context) }
            _ = try await host.powerOff(uuid)
            _ = try await errorClass { _ = try await host.operations.pause(uuid, host.context) }
            try await host.destroy(uuid)
            #expect(
                host.observer.all == [
                    "spawn start", "spawn end", "power_off start", "power_off end", "pause start",
                    "pause InstanceInvalidState", "destroy start", "destroy end",
                ]
            )
        }
    }
}

@Suite struct InterruptionTests {
    private func instance() -> Instance {
        Instance(InstanceRecord(uuid: newUUID(), name: "vm", memoryMB: 1, vcpus: 1, rootGB: 0, createdAt: 0))
    }

    @Test func anImpatientOperationThatIsCancelledInTheQueueHurriesNobodyAnyMore() async throws {
        let instance = instance()
        let gate = Gate()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { try? await instance.lane.run { await gate.pass() } }
            await gate.untilReached()
            let hurried = Task { try await instance.hurry("test") {} }
            try? await eventually("waits") { instance.lane.waiting == 1 }
            hurried.cancel()
            await #expect(throws: CancellationError.self) { try await hurried.value }
            gate.open()
        }
        #expect(instance.beginInterruptible().reason == nil)
    }

    @Test func whoIsInTheQueueHurriesWaitsThatBeginLater() async throws {
        let instance = instance()
        let gate = Gate()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { try? await instance.lane.run { await gate.pass() } }
            await gate.untilReached()
            group.addTask { try? await instance.hurry("test") {} }
            try? await eventually("waits") { instance.lane.waiting == 1 }
            #expect(instance.beginInterruptible().reason != nil)
            instance.endInterruptible()
            gate.open()
        }
        #expect(instance.beginInterruptible().reason == nil)
    }

    @Test func aSleepEndsWhenInterruptedBeforeOrMeanwhile() async throws {
        let interruption = Interruption()
        async let slept = interruption.sleep(for: .seconds(3600))
        interruption.interrupt("enough")
        #expect(try await slept == false)
        #expect(try await interruption.sleep(for: .seconds(3600)) == false)
        #expect(interruption.reason == "enough")
    }

    @Test func workIsCancelledWhenInterrupted() async throws {
        let interruption = Interruption()
        let outcome = Task { try await interruption.cancelling { try await Task.sleep(for: .seconds(3600)) } }
        interruption.interrupt("enough")
        await #expect(throws: CancellationError.self) { try await outcome.value }
        #expect(try await Interruption().cancelling { 7 } == 7)
    }
}
