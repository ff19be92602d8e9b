import Foundation
import HostBackend
import Journal
import SimulatedHost
import Support
import TestSupport
import Testing

@testable import VMOps

/// Hosts that share their storage, and one of them gone.
@Suite(.timeLimit(.minutes(10))) struct EvacuationTests {
    private struct Pair {
        let gone: TestHost
        let other: TestHost
        let uuid: InstanceUUID
    }

    /// An instance of a host that is killed then.
    private static func withDeadHost(off: Bool = false, _ body: (Pair) async throws -> Void) async throws {
        try await TestWorld.with { world in
            try world.image()
            let shared = world.directory + "/shared"
            let gone = try await world.host("host-a") { $0.instancesPath = shared }
            let other = try await world.host("host-b") { $0.instancesPath = shared }
            let uuid = try await gone.spawn(["sim.lines_per_second": "100"], interfaces: 1, image: "image")
            try await gone.awaitLog(uuid, contains: "line 5\n")
            if off { _ = try await gone.powerOff(uuid) }
            await gone.kill()
            try await body(Pair(gone: gone, other: other, uuid: uuid))
        }
    }

    /// Two hosts whose instances are at one place.
    private static func withTwoHosts(
        _ body: (_ world: TestWorld, _ shared: String, _ a: TestHost, _ b: TestHost) async throws -> Void
    ) async throws {
        try await TestWorld.with { world in
            try world.image()
            let shared = world.directory + "/shared"
            let a = try await world.host("host-a") { $0.instancesPath = shared }
            let b = try await world.host("host-b") { $0.instancesPath = shared }
            try await body(world, shared, a, b)
        }
    }

    private static func evacuate(_ uuid: InstanceUUID, to host: TestHost) async throws -> InstanceInfo {
        try await host.operations.evacuate(uuid, powerOn: nil, host.context)
    }

    /// What the host does for itself from time to time; in the instance's lane, as events of its machine come meanwhile.
    private static func givesWay(_ instance: Instance, on host: TestHost) async throws -> Bool {
        try await instance.lane.run { await host.operations.giveWayIfTaken(instance) }
    }

    private static func back(_ pair: Pair) async throws -> TestHost {
        let shared = pair.other.instancesPath
        return try await pair.gone.world.host("host-a") { $0.instancesPath = shared }
    }

    @Test func theInstanceRunsElsewhereAndItsOldHostRemovesItsMachine() async throws {
        try await Self.withDeadHost { pair in
            #expect(try await pair.other.operations.storedInstances(of: "host-a").map(\.uuid) == [pair.uuid])
            let info = try await Self.evacuate(pair.uuid, to: pair.other)
            #expect(info.host == "host-b" && info.state == "running")
            #expect(try await pair.other.operations.storedInstances(of: "host-a").isEmpty)
            let before = try await pair.other.log(pair.uuid).count
            let again = try await Self.back(pair)
            #expect(try await again.traces(pair.uuid) == ["directory"])
            try await eventually("the log goes on") { try await pair.other.log(pair.uuid).count > before + 100 }
            #expect(try await pair.other.state(pair.uuid) == "running")
            // A repetition changes nothing.
            let outcome = try await Self.evacuate(pair.uuid, to: pair.other)
            #expect(outcome.state == "running")
        }
    }

    @Test func whatWasOffStaysOff() async throws {
        try await Self.withDeadHost(off: true) { pair in
            let outcome = try await Self.evacuate(pair.uuid, to: pair.other)
            #expect(outcome.state == "off")
        }
    }

    @Test func aHostThatAnswersIsNotRobbed() async throws {
        try await Self.withDeadHost { pair in
            let again = try await Self.back(pair)
            let failure = try await errorClass { _ = try await Self.evacuate(pair.uuid, to: pair.other) }
            #expect(failure == "ComputeServiceInUse")
            #expect(try await again.state(pair.uuid) == "running")
        }
    }

    /// It was only cut off: it finds out while it runs, and does not start the machine again either.
    @Test func aHostThatWasCutOffGivesWay() async throws {
        try await Self.withDeadHost { pair in
            let again = try await Self.back(pair)
            pair.gone.world.peers.remove("host-a")
            _ = try await Self.evacuate(pair.uuid, to: pair.other)
            #expect(try await again.state(pair.uuid) == "running")
            let instance = try #require(again.operations.instance(pair.uuid))
            #expect(try await errorClass { try await again.operations.requireOwned(instance.record) } != nil)
            #expect(try await Self.givesWay(instance, on: again))
            #expect(try await again.traces(pair.uuid) == ["directory"])
            #expect(try await pair.other.state(pair.uuid) == "running")
        }
    }

    @Test func twoHostsCannotBothTakeIt() async throws {
        try await Self.withDeadHost { pair in
            let shared = pair.other.instancesPath
            let third = try await pair.other.world.host("host-c") { $0.instancesPath = shared }
            async let first = errorClass { _ = try await Self.evacuate(pair.uuid, to: pair.other) }
            async let second = errorClass { _ = try await Self.evacuate(pair.uuid, to: third) }
            let outcomes = try await [first, second]
            #expect(outcomes.filter { $0 == nil }.count <= 1)
            var running = 0
            for host in [pair.other, third] {
                if let info = try? await host.operations.info(pair.uuid), info.state == "running" { running += 1 }
            }
            #expect(running <= 1)
            // Whoever lost, or both, can be asked again; in the end one has it.
            if running == 0 { _ = try await Self.evacuate(pair.uuid, to: third) }
        }
    }

    @Test func aFailureAfterTheClaimIsRepeated() async throws {
        try await Self.withDeadHost { pair in
            let world = pair.other.world.simulated
            world.setHook { _, primitive, _ in
                if primitive == .createMachine { throw BackendError(.internal, "planned") }
            }
            let failure = try await errorClass { _ = try await Self.evacuate(pair.uuid, to: pair.other) }
            #expect(failure != nil)
            world.setHook(nil)
            #expect(pair.other.exists(pair.other.directory(pair.uuid) + "/console.log"))
            let outcome = try await Self.evacuate(pair.uuid, to: pair.other)
            #expect(outcome.state == "running")
        }
    }

    @Test func anInstanceThatMovedThereAndBackIsItsOwnersStill() async throws {
        try await Self.withTwoHosts { world, shared, a, b in
            let uuid = try await a.spawn(image: "image")
            _ = try await a.migrate(uuid, to: b)
            _ = try await b.migrate(uuid, to: a)
            _ = try await a.resize(uuid, ResizeRequest(destination: "host-b"))
            _ = try await b.revert(uuid)
            #expect(try await a.state(uuid) == "running")
            let instance = try #require(a.operations.instance(uuid))
            #expect(try await !Self.givesWay(instance, on: a))
            await a.kill()
            _ = try await Self.evacuate(uuid, to: b)
            let again = try await world.host("host-a") { $0.instancesPath = shared }
            #expect(try await again.traces(uuid) == ["directory"])
            #expect(try await b.state(uuid) == "running")
        }
    }

    // MARK: Destroyed elsewhere

    private static func destroy(_ uuid: InstanceUUID, on host: TestHost) async throws {
        try await host.operations.destroy(uuid, interfaces: [], volumes: [], destroyDisks: true, host.context)
    }

    /// There is nothing left that could tell whose it is, but for the note about its end.
    @Test func aHostForgetsWhatWasDestroyedElsewhereWhileItWasAway() async throws {
        try await Self.withDeadHost { pair in
            _ = try await Self.evacuate(pair.uuid, to: pair.other)
            try await Self.destroy(pair.uuid, on: pair.other)
            #expect(try await pair.other.traces(pair.uuid) == [])
            let again = try await Self.back(pair)
            #expect(try await again.traces(pair.uuid) == [])
            // It stays forgotten.
            await again.kill()
            #expect(try await Self.back(pair).traces(pair.uuid) == [])
        }
    }

    @Test func aHostThatWasCutOffEndsWhatWasDestroyedElsewhere() async throws {
        try await Self.withDeadHost { pair in
            let again = try await Self.back(pair)
            pair.gone.world.peers.remove("host-a")
            _ = try await Self.evacuate(pair.uuid, to: pair.other)
            try await Self.destroy(pair.uuid, on: pair.other)
            #expect(try await again.state(pair.uuid) == "running")
            let instance = try #require(again.operations.instance(pair.uuid))
            #expect(try await errorClass { try await again.operations.requireOwned(instance.record) } != nil)
            #expect(try await Self.givesWay(instance, on: again))
            #expect(try await again.traces(pair.uuid) == [])
        }
    }

    /// Files that are not there prove nothing: the storage may be what is missing.
    @Test func missingFilesAreNoReasonToForgetAnInstance() async throws {
        try await Self.withDeadHost { pair in
            let shared = pair.other.instancesPath
            try FileManager.default.moveItem(atPath: shared, toPath: shared + ".unmounted")
            try FileManager.default.createDirectory(atPath: shared, withIntermediateDirectories: false)
            let again = try await Self.back(pair)
            let instance = try #require(again.operations.instance(pair.uuid))
            #expect(try await !Self.givesWay(instance, on: again))
            try FileManager.default.removeItem(atPath: shared)
            try FileManager.default.moveItem(atPath: shared + ".unmounted", toPath: shared)
            #expect(try await !Self.givesWay(instance, on: again))
            #expect(try await again.record(pair.uuid)?.complete == true)
        }
    }

    /// The note about the end of the one says nothing against a later one of the same uuid, wherever that comes from.
    @Test func anInstanceOfTheSameUUIDIsItsOwnersAlone() async throws {
        try await Self.withDeadHost { pair in
            _ = try await Self.evacuate(pair.uuid, to: pair.other)
            try await Self.destroy(pair.uuid, on: pair.other)
            let request = pair.other.request(pair.uuid, image: "image")
            _ = try await pair.other.operations.spawn(request, pair.other.context)
            let again = try await Self.back(pair)
            #expect(try await again.traces(pair.uuid) == ["directory"])
            let instance = try #require(pair.other.operations.instance(pair.uuid))
            #expect(try await !Self.givesWay(instance, on: pair.other))
            let shared = pair.other.instancesPath
            await pair.other.kill()
            let restarted = try await pair.other.world.host("host-b") { $0.instancesPath = shared }
            #expect(try await restarted.state(pair.uuid) == "running")
            // From a host with storage of its own, and away again.
            let third = try await restarted.world.host("host-c")
            _ = try await restarted.migrate(pair.uuid, to: third)
            _ = try await third.migrate(pair.uuid, to: restarted)
            let present = try #require(restarted.operations.instance(pair.uuid))
            #expect(try await !Self.givesWay(present, on: restarted))
            #expect(try await restarted.state(pair.uuid) == "running")
        }
    }

    /// It went on to storage of another host, so that nothing of it is left on this one.
    @Test func whatMovedOffTheStorageIsForgottenToo() async throws {
        try await Self.withDeadHost { pair in
            _ = try await Self.evacuate(pair.uuid, to: pair.other)
            let third = try await pair.other.world.host("host-c")
            _ = try await pair.other.migrate(pair.uuid, to: third)
            #expect(try await Self.back(pair).traces(pair.uuid) == [])
            #expect(try await third.state(pair.uuid) == "running")
        }
    }

    // MARK: Two hosts and one uuid

    /// The other host runs it: its directory is not to be made anew.
    @Test func whatAnotherHostHasIsNotSpawnedOver() async throws {
        try await Self.withTwoHosts { _, _, a, b in
            let uuid = try await a.spawn(["sim.lines_per_second": "100"], image: "image")
            try await a.awaitLog(uuid, contains: "line 5\n")
            let failure = try await errorClass {
                _ = try await b.operations.spawn(b.request(uuid, image: "image"), b.context)
            }
            #expect(failure == "InstanceExists")
            #expect(try await b.traces(uuid) == ["directory"])
            #expect(try await b.record(uuid) == nil)
            let before = try await a.log(uuid).count
            try await eventually("the log goes on") { try await a.log(uuid).count > before + 100 }
            // When it is gone there, it may come here.
            try await Self.destroy(uuid, on: a)
            _ = try await b.operations.spawn(b.request(uuid, image: "image"), b.context)
            #expect(try await b.state(uuid) == "running")
        }
    }

    /// Both at once: one makes it, the other touches nothing, also after a crash.
    @Test func ofTwoThatMakeTheSameInstanceOneWins() async throws {
        try await TestWorld.with { world in
            try world.image()
            let shared = world.directory + "/shared"
            var hosts: [TestHost] = []
            for name in ["host-a", "host-b"] { hosts.append(try await world.host(name) { $0.instancesPath = shared }) }
            for _ in 0..<5 {
                let uuid = newUUID()
                let failures = try await withThrowingTaskGroup(of: String?.self) { group in
                    for host in hosts {
                        group.addTask {
                            try await errorClass {
                                let guest = ["sim.lines_per_second": "100"]
                                let request = host.request(uuid, guest, image: "image")
                                _ = try await host.operations.spawn(request, host.context)
                            }
                        }
                    }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                #expect(failures.filter { $0 == nil }.count == 1, "\(failures)")
                #expect(failures.contains("InstanceExists"))
                let running = hosts.filter { $0.operations.instance(uuid) != nil }
                #expect(running.count == 1)
                #expect(try await running.first?.state(uuid) == "running")
                try await running.first?.awaitLog(uuid, contains: "line 3\n")
            }
        }
    }

    /// A host that died before it could undo what another was quicker with: the other's files stay.
    @Test func whatAnotherMadeIsNotUndone() async throws {
        try await Self.withTwoHosts { world, shared, a, b in
            let uuid = try await a.spawn(image: "image")
            var record = try #require(try await a.record(uuid))
            record.complete = false
            try await b.journal.save(record)
            await b.kill()
            let again = try await world.host("host-b") { $0.instancesPath = shared }
            #expect(try await again.record(uuid) == nil)
            #expect(again.exists(again.directory(uuid) + "/console.log"))
            #expect(try await a.state(uuid) == "running")
        }
    }

    /// It had moved on, was not confirmed yet, and its new host died: the first one keeps nothing for a way back that
    /// nobody will go, and the instance may come to it again.
    @Test(arguments: ["host-a", "host-c"]) func whatIsEvacuatedAfterAMoveIsNotKept(destination: String) async throws {
        try await Self.withTwoHosts { world, shared, a, b in
            let uuid = try await a.spawn(image: "image")
            _ = try await a.resize(uuid, ResizeRequest(destination: "host-b"))
            #expect(try await a.record(uuid)?.move?.role == .kept)
            await b.kill()
            let there = destination == "host-a" ? a : try await world.host("host-c") { $0.instancesPath = shared }
            _ = try await Self.evacuate(uuid, to: there)
            // As it does for itself from time to time.
            await a.operations.finishLeftover(uuid)
            #expect(try await there.state(uuid) == "running")
            let names = try FileManager.default.contentsOfDirectory(atPath: there.directory(uuid))
            #expect(!names.contains { $0.hasPrefix(".revert-") || $0.hasPrefix(".migration-") }, "\(names)")
            let again = try await world.host("host-b") { $0.instancesPath = shared }
            #expect(try await again.traces(uuid) == ["directory"])
            if destination == "host-a" {
                #expect(try await a.record(uuid)?.complete == true)
                let info = try? await a.operations.giveUpMigration(uuid, runHere: false, a.context)
                #expect(info?.state == "running")
            } else {
                #expect(try await a.record(uuid) == nil)
                _ = try await there.resize(uuid, ResizeRequest(destination: "host-a"))
                #expect(try await a.state(uuid) == "running")
            }
        }
    }

    @Test func nothingIsTakenThatIsNotThere() async throws {
        try await Self.withDeadHost { pair in
            let unknown = try await errorClass { _ = try await Self.evacuate(newUUID(), to: pair.other) }
            #expect(unknown == "InstanceNotFound")
        }
    }
}
