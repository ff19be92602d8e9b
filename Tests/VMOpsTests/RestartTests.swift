import Console
import HostBackend
import Journal
import SimulatedHost
import Support
import Synchronization
import TestSupport
import Testing

@testable import VMOps

/// A worker that ends at the worst moment, and the next one on its files.
@Suite(.timeLimit(.minutes(5))) struct RestartTests {
    /// Starts `operation`, ends the worker where the hook holds it, and goes on with the next worker's host. What the
    /// dead worker would still do is held back until `check` is done.
    func kill(
        _ host: TestHost,
        others: [TestHost] = [],
        at primitive: Primitive,
        during operation: @escaping @Sendable () async throws -> Void,
        _ check: ([TestHost]) async throws -> Void
    ) async throws {
        let gate = Gate()
        let isFirst = Atomic<Bool>(true)
        host.world.simulated.setHook { _, called, _ in
            if called == primitive, isFirst.exchange(false, ordering: .relaxed) {
                await gate.pass()
                throw BackendError(.unavailable, "this worker is dead")
            }
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try? await operation() }
            defer { gate.open() }
            await gate.untilReached()
            for dead in [host] + others { host.world.peers.remove(dead.name) }
            for dead in [host] + others { await dead.kill() }
            var next: [TestHost] = []
            for dead in [host] + others {
                next.append(
                    try await host.world.host(dead.name) { $0.operations.migrationRetryInterval = .milliseconds(20) }
                )
            }
            try await check(next)
        }
    }

    @Test(arguments: [
        Primitive.image, .createDisk, .connectVolume, .buildConfigDrive, .createMachine, .plugInterface, .setState,
    ])
    func aHalfMadeInstanceIsUndone(_ primitive: Primitive) async throws {
        try await TestWorld.withHost { host in
            try host.world.image()
            let uuid = newUUID()
            var request = host.request(
                uuid,
                volumes: [try host.world.volume()],
                interfaces: 1,
                image: "image",
                configDrive: true
            )
            request.ephemeralGB = [1]
            let wanted = request
            try await kill(host, at: primitive, during: { _ = try await host.operations.spawn(wanted, host.context) }) {
                hosts in
                let next = hosts[0]
                // Only requests carry what it takes to disconnect a volume: this one, run again, or a destroy.
                let traces = try await next.traces(uuid).filter { !$0.hasPrefix("volume") }
                #expect(traces == [])
                _ = try await next.operations.spawn(wanted, next.context)
                #expect(try await next.state(uuid) == "running")
                try await next.destroy(uuid, volumes: wanted.volumes)
                #expect(try await next.traces(uuid) == [])
            }
        }
    }

    @Test(arguments: [Primitive.cancelJobs, .setState, .deleteMachine, .unplugInterface])
    func aDestroyThatWasCutOffIsFinishedByItsRepetition(_ primitive: Primitive) async throws {
        try await TestWorld.withHost { host in
            let uuid = try await host.spawn(interfaces: 1)
            try await kill(host, at: primitive, during: { try await host.destroy(uuid) }) { next in
                try await next[0].destroy(uuid)
                #expect(try await next[0].traces(uuid) == [])
            }
        }
    }

    @Test func aPowerOffThatWasCutOffLeavesTheMachineAsItIs() async throws {
        try await TestWorld.withHost { host in
            let uuid = try await host.spawn()
            try await kill(host, at: .setState, during: { _ = try await host.powerOff(uuid) }) { next in
                let state = try await next[0].state(uuid)
                #expect(state == "running")
                #expect(try await next[0].isCaptured(uuid))
                #expect(try await next[0].powerOff(uuid).state == "off")
            }
        }
    }

    @Test func runningMachinesAreTakenUpAndTheirConsolesGoOn() async throws {
        try await TestWorld.withHost({ $0.simulated.foreignMachines = ["stranger"] }) { host in
            let uuid = try await host.spawn(["sim.lines_per_second": "200"])
            let paused = try await host.spawn()
            _ = try await host.operations.pause(paused, host.context)
            let off = try await host.spawn(powerOn: false)
            try await host.awaitLog(uuid, contains: "line 5\n")
            let before = try await host.log(uuid)
            await host.stop()
            let next = try await host.world.host("host-a") { $0.simulated.foreignMachines = ["stranger"] }
            #expect(try await next.state(uuid) == "running")
            #expect(try await next.state(paused) == "paused")
            #expect(try await next.state(off) == "off")
            #expect(try await next.isCaptured(uuid))
            #expect(try await next.isCaptured(paused))
            #expect(try await next.isCaptured(off) == false)
            let lines = before.split(separator: "\n").count { $0.hasPrefix("line ") }
            try await next.awaitLog(uuid, contains: "line \(lines + 20)\n")
            let all = try await next.log(uuid)
            #expect(all.hasPrefix(before))
            let numbered = all.split(separator: "\n").filter { $0.hasPrefix("line ") }
            #expect(numbered.elementsEqual((1...numbered.count).map { "line \($0)" }))
            #expect(try await next.operations.listInstances().contains("stranger"))
            #expect(try await next.operations.listInstanceUUIDs().count == 3)
        }
    }

    @Test func aMachineThatVanishedMeanwhileIsShownAndCanBeDestroyed() async throws {
        try await TestWorld.withHost { host in
            let uuid = try await host.spawn(interfaces: 1)
            try await host.backend.deleteMachine(uuid)
            await host.kill()
            let next = try await host.world.host("host-a")
            #expect(try await next.state(uuid) == "error")
            #expect(try await next.isCaptured(uuid) == false)
            try await next.destroy(uuid)
            #expect(try await next.traces(uuid) == [])
        }
    }

    @Test func guestsAreStartedAgainOnlyIfTheOptionSaysSo() async throws {
        for resumes in [false, true] {
            try await TestWorld.withHost { host in
                let uuid = try await host.spawn()
                await host.operations.console.shutdown()
                // Off behind the worker's back, as after a power cut.
                let record = try #require(try await host.record(uuid))
                _ = try await host.backend.setState(uuid, .off, deadline: .seconds(5))
                // Noticed all the same, so that nobody writes it down once more later.
                try await eventually("the end is noticed") { try await host.record(uuid)?.state == .off }
                await host.operations.stop()
                try await host.journal.save(record)
                await host.kill()
                let next = try await host.world.host("host-a") { $0.operations.resumeGuestsOnStart = resumes }
                #expect(try await next.state(uuid) == (resumes ? "running" : "off"))
                try await eventually("capture as the state wants it") { try await next.isCaptured(uuid) == resumes }
            }
        }
    }

    // MARK: In the middle of a live migration

    private static let moments: [Primitive] = [
        .prepareIncoming, .migrateSetup, .migratePrecopy, .migrateSwitchover, .migrateCompleted, .finishIncoming,
        .unplugInterface, .finishOutgoing,
    ]

    /// Both hosts end; both come back, in either order. Exactly one of them has the machine.
    @Test(arguments: moments, [false, true])
    func afterTheDeathOfBothHostsOneHasTheMachine(_ primitive: Primitive, sourceFirst: Bool) async throws {
        try await MigrationTests.withPair { pair in
            let (source, destination, uuid) = (pair.source, pair.destination, pair.uuid)
            let first = sourceFirst ? source : destination
            let second = sourceFirst ? destination : source
            try await kill(
                first,
                others: [second],
                at: primitive,
                during: { _ = try await source.migrate(uuid, to: destination) }
            ) { next in
                let now = MigrationTests.Pair(
                    source: sourceFirst ? next[0] : next[1],
                    destination: sourceFirst ? next[1] : next[0],
                    uuid: uuid
                )
                let isGone = [.migrateCompleted, .finishIncoming, .unplugInterface, .finishOutgoing].contains(primitive)
                let loser = isGone ? now.source : now.destination
                let keeper = isGone ? now.destination : now.source
                try await eventually("one host left") {
                    let isClean = try await loser.traces(uuid) == []
                    let record = try await keeper.record(uuid)
                    return isClean && record?.move == nil && record?.complete == true
                }
                try await now.expectOnly(at: keeper)
                #expect(try await keeper.log(uuid).contains("login: "))
                if !isGone {
                    _ = try await now.source.migrate(uuid, to: now.destination)
                    try await now.expectOnly(at: now.destination)
                }
            }
        }
    }
}
