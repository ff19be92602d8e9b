import Console
import Foundation
import HostBackend
import SimulatedHost
import Support
import Synchronization
import TestSupport
import Testing

@testable import VMOps

/// A live migration between two hosts of one process.
@Suite(.timeLimit(.minutes(5))) struct MigrationTests {
    struct Pair {
        var source: TestHost
        var destination: TestHost
        var uuid: InstanceUUID

        /// Exactly one of the two runs it and remembers it.
        func expectOnly(
            at host: TestHost,
            _ comment: Comment? = nil,
            sourceLocation: SourceLocation = #_sourceLocation
        ) async throws {
            let other = host.name == source.name ? destination : source
            #expect(try await other.traces(uuid) == [], comment, sourceLocation: sourceLocation)
            #expect(try await host.backend.machine(uuid).state == .running, comment, sourceLocation: sourceLocation)
            #expect(try await host.state(uuid) == "running", comment, sourceLocation: sourceLocation)
            let record = try #require(try await host.record(uuid), sourceLocation: sourceLocation)
            #expect(record.complete && record.move == nil, comment, sourceLocation: sourceLocation)
            #expect(record.disks.allSatisfy { host.exists($0.path) }, comment, sourceLocation: sourceLocation)
            #expect(
                host.world.simulated.pluggedInterfaces.map(\.host) == [host.name],
                comment,
                sourceLocation: sourceLocation
            )
            #expect(try await host.isCaptured(uuid), comment, sourceLocation: sourceLocation)
        }
    }

    static func withPair(
        _ metadata: [String: String] = [:],
        _ change: (inout TestHost.Options) -> Void = { _ in },
        _ body: (Pair) async throws -> Void
    ) async throws {
        try await TestWorld.with { world in
            try world.image()
            let source = try await world.host("host-a", change)
            let destination = try await world.host("host-b", change)
            let uuid = try await source.spawn(metadata, interfaces: 1, image: "image")
            try await source.awaitLog(uuid, contains: "login: ")
            try await body(Pair(source: source, destination: destination, uuid: uuid))
        }
    }

    @Test func theMachineItsFilesAndItsLogMove() async throws {
        try await Self.withPair(["sim.lines_per_second": "500"]) { pair in
            let (source, destination, uuid) = (pair.source, pair.destination, pair.uuid)
            try await source.awaitLog(uuid, contains: "line 20\n")
            let info = try await source.migrate(uuid, to: destination)
            #expect(info.host == "host-b")
            #expect(info.state == "running")
            try await pair.expectOnly(at: destination)
            let now = try await destination.log(uuid).split(separator: "\n").count { $0.hasPrefix("line ") }
            try await destination.awaitLog(uuid, contains: "line \(now + 20)\n")
            let lines = try await destination.log(uuid).split(separator: "\n").filter { $0.hasPrefix("line ") }
            #expect(lines.elementsEqual((1...lines.count).map { "line \($0)" }))
            let marks = try await destination.operations.consoleMarks(uuid)
            #expect(marks.map(\.kind).filter { $0 == .boot } == [.boot])
            #expect(marks.map(\.kind).contains(.migration))
            #expect(marks.map(\.offset) == marks.map(\.offset).sorted())
            let all = try await destination.operations.consoleRead(uuid, offset: 0, maxBytes: 1 << 20, wait: .zero)
            #expect(all.offset == 0 && all.firstOffset == 0)
            #expect(try await errorClass { _ = try await source.operations.info(uuid) } == "InstanceNotFound")
            // And back again.
            _ = try await destination.migrate(uuid, to: source)
            try await pair.expectOnly(at: source)
            let back = try await source.log(uuid).split(separator: "\n").filter { $0.hasPrefix("line ") }
            #expect(back.elementsEqual((1...back.count).map { "line \($0)" }))
            #expect(back.count >= lines.count)
        }
    }

    private static let beforeSwitchOver: [Primitive] = [
        .checkIncoming, .checkOutgoing, .prepareIncoming, .migrate, .migrateSetup, .migratePrecopy,
        .migrateSwitchover, .plugInterface,
    ]

    @Test(arguments: beforeSwitchOver)
    func aFailureBeforeTheSwitchOverChangesNothing(_ primitive: Primitive) async throws {
        try await Self.withPair { pair in
            let hits = Atomic<Int>(0)
            pair.source.world.simulated.setHook { _, called, _ in
                guard called == primitive, hits.add(1, ordering: .relaxed).newValue <= 2 else { return }
                throw BackendError(.internal, "planned")
            }
            let failure = try await errorClass {
                _ = try await pair.source.migrate(pair.uuid, to: pair.destination, copy: true)
            }
            let isCheck = [.checkIncoming, .checkOutgoing].contains(primitive)
            #expect(failure == (isCheck ? "MigrationPreCheckError" : "MigrationError"))
            pair.source.world.simulated.setHook(nil)
            try await pair.expectOnly(at: pair.source)
            try await pair.source.type("echo still here", on: pair.uuid)
            try await pair.source.awaitLog(pair.uuid, contains: "\nstill here")
            _ = try await pair.source.migrate(pair.uuid, to: pair.destination)
            try await pair.expectOnly(at: pair.destination)
        }
    }

    /// The machine has gone: it stays gone, and what could not be done is done later.
    @Test(arguments: [Primitive.migrateCompleted, .finishIncoming, .finishOutgoing, .unplugInterface])
    func aFailureAfterTheSwitchOverIsFinishedLater(_ primitive: Primitive) async throws {
        try await Self.withPair { pair in
            let isBroken = Atomic<Bool>(true)
            pair.source.world.simulated.setHook { _, called, _ in
                guard called == primitive, isBroken.load(ordering: .relaxed) else { return }
                throw BackendError(.internal, "planned")
            }
            let info = try await pair.source.migrate(pair.uuid, to: pair.destination)
            #expect(info.host == "host-b")
            #expect(try await errorClass { _ = try await pair.source.operations.info(pair.uuid) } == "InstanceNotFound")
            isBroken.store(false, ordering: .relaxed)
            await pair.source.operations.finishLeftover(pair.uuid)
            try await pair.expectOnly(at: pair.destination)
            #expect(try await pair.destination.log(pair.uuid).contains("login: "))
        }
    }

    @Test func anUnfinishedDepartureIsFinishedInTheBackground() async throws {
        try await Self.withPair([:], { $0.operations.migrationRetryInterval = .milliseconds(20) }) { pair in
            let calls = Atomic<Int>(0)
            pair.source.world.simulated.setHook { _, called, _ in
                guard called == .finishIncoming, calls.add(1, ordering: .relaxed).newValue <= 3 else { return }
                throw BackendError(.unavailable, "planned")
            }
            _ = try await pair.source.migrate(pair.uuid, to: pair.destination)
            try await eventually("finished") { try await pair.source.traces(pair.uuid) == [] }
            try await pair.expectOnly(at: pair.destination)
        }
    }

    @Test func anAbortLeavesTheMachineHere() async throws {
        try await Self.withPair { pair in
            let gate = Gate()
            pair.source.world.simulated.setHook { _, called, _ in
                guard called == .migratePrecopy else { return }
                gate.open()
                try await Task.sleep(for: .seconds(3600))
            }
            let none = try await errorClass { try pair.source.operations.abortLiveMigration(pair.uuid) }
            #expect(none == "InstanceInvalidState")
            async let outcome = errorClass { _ = try await pair.source.migrate(pair.uuid, to: pair.destination) }
            await gate.pass()
            #expect(try await pair.source.state(pair.uuid) == "migrating-out")
            #expect(try await pair.destination.state(pair.uuid) == "migrating-in")
            #expect(try await pair.destination.operations.info(pair.uuid).powerState == 0)
            try pair.source.operations.abortLiveMigration(pair.uuid)
            #expect(try await outcome == "MigrationError")
            pair.source.world.simulated.setHook(nil)
            try await pair.expectOnly(at: pair.source)
            _ = try await pair.source.migrate(pair.uuid, to: pair.destination)
            try await pair.expectOnly(at: pair.destination)
        }
    }

    @Test func pastTheSwitchOverNothingCanBeAborted() async throws {
        try await Self.withPair { pair in
            let gate = Gate()
            pair.source.world.simulated.setHook { _, called, _ in
                if called == .migrateCompleted { await gate.pass() }
            }
            async let info = pair.source.migrate(pair.uuid, to: pair.destination)
            await gate.untilReached()
            let failure = try await errorClass { try pair.source.operations.abortLiveMigration(pair.uuid) }
            #expect(failure == "InstanceInvalidState")
            gate.open()
            #expect(try await info.state == "running")
            try await pair.expectOnly(at: pair.destination)
        }
    }

    @Test func aCancelledTaskMovesTheMachineWhollyOrNotAtAll() async throws {
        for primitive in [Primitive.migratePrecopy, .migrateCompleted, .finishIncoming] {
            try await Self.withPair { pair in
                let gate = Gate()
                pair.source.world.simulated.setHook { _, called, _ in
                    if called == primitive { await gate.pass() }
                }
                await withTaskGroup(of: Void.self) { group in
                    group.addTask { _ = try? await pair.source.migrate(pair.uuid, to: pair.destination) }
                    await gate.untilReached()
                    group.cancelAll()
                    gate.open()
                }
                pair.source.world.simulated.setHook(nil)
                let stays = primitive == .migratePrecopy
                try await pair.expectOnly(at: stays ? pair.source : pair.destination, "\(primitive)")
            }
        }
    }

    @Test func wrongDestinationsAreRefused() async throws {
        try await Self.withPair { pair in
            let selfMigration = try await errorClass {
                _ = try await pair.source.migrate(pair.uuid, to: pair.source)
            }
            #expect(selfMigration == "UnableToMigrateToSelf")
            let unknown = try await errorClass {
                _ = try await pair.source.operations.liveMigrate(
                    pair.uuid,
                    to: "nowhere",
                    copyStorage: nil,
                    pair.source.context
                )
            }
            #expect(unknown == "MigrationPreCheckError")
            try await pair.destination.spawn(uuid: pair.uuid)
            let taken = try await errorClass { _ = try await pair.source.migrate(pair.uuid, to: pair.destination) }
            #expect(taken == "InstanceExists")
            #expect(try await pair.source.state(pair.uuid) == "running")
            #expect(try await pair.destination.state(pair.uuid) == "running")
            let leftTokens = try FileManager.default.contentsOfDirectory(atPath: pair.source.directory(pair.uuid))
                .filter { $0.hasPrefix(IncomingMigration.tokenPrefix) }
            #expect(leftTokens == [])
        }
    }

    @Test func aPausedMachineArrivesPaused() async throws {
        try await Self.withPair { pair in
            _ = try await pair.source.operations.pause(pair.uuid, pair.source.context)
            let info = try await pair.source.migrate(pair.uuid, to: pair.destination)
            #expect(info.state == "paused")
            _ = try await pair.destination.operations.unpause(pair.uuid, pair.destination.context)
            try await pair.expectOnly(at: pair.destination)
        }
    }

    @Test func aHostThatCannotMovePausedMachinesSaysSo() async throws {
        try await Self.withPair([:], { $0.simulated.withoutCapabilities = ["migrate.live.paused"] }) { pair in
            _ = try await pair.source.operations.pause(pair.uuid, pair.source.context)
            let failure = try await errorClass { _ = try await pair.source.migrate(pair.uuid, to: pair.destination) }
            #expect(failure == "InstanceInvalidState")
        }
    }

    @Test func withASharedDirectoryNothingIsCopiedOrRemoved() async throws {
        try await TestWorld.with { world in
            try world.image()
            let shared = world.directory + "/shared"
            let source = try await world.host("host-a") { $0.instancesPath = shared }
            let destination = try await world.host("host-b") { $0.instancesPath = shared }
            let uuid = try await source.spawn(["sim.lines_per_second": "500"], interfaces: 1, image: "image")
            let pair = Pair(source: source, destination: destination, uuid: uuid)
            try await source.awaitLog(uuid, contains: "line 5\n")
            // First one that fails: the files are the source's still.
            world.simulated.setHook { _, called, _ in
                if called == .migratePrecopy { throw BackendError(.internal, "planned") }
            }
            let failure = try await errorClass { _ = try await source.migrate(uuid, to: destination) }
            #expect(failure == "MigrationError")
            world.simulated.setHook(nil)
            #expect(try await source.record(uuid)?.disks.allSatisfy { source.exists($0.path) } == true)
            #expect(try await source.isCaptured(uuid))
            _ = try await source.migrate(uuid, to: destination)
            #expect(try await destination.backend.machine(uuid).state == .running)
            #expect(try await source.record(uuid) == nil)
            #expect(source.operations.instance(uuid) == nil)
            #expect(try await destination.record(uuid)?.disks.allSatisfy { source.exists($0.path) } == true)
            let count = try await destination.log(uuid).split(separator: "\n").count { $0.hasPrefix("line ") }
            try await destination.awaitLog(uuid, contains: "line \(count + 5)\n")
            let lines = try await destination.log(uuid).split(separator: "\n").filter { $0.hasPrefix("line ") }
            #expect(lines.elementsEqual((1...lines.count).map { "line \($0)" }))
            try await destination.destroy(uuid)
            #expect(try await pair.destination.traces(uuid) == [])
        }
    }

    @Test func aGuestThatIsTurnedOffWhileMovingStays() async throws {
        try await Self.withPair { pair in
            let gate = Gate()
            pair.source.world.simulated.setHook { _, called, _ in
                if called == .migratePrecopy { await gate.pass() }
            }
            async let outcome = errorClass { _ = try await pair.source.migrate(pair.uuid, to: pair.destination) }
            await gate.untilReached()
            async let off = pair.source.powerOff(pair.uuid)
            let instance = try #require(pair.source.operations.instance(pair.uuid))
            try await eventually("power_off waits") { instance.lane.waiting == 1 }
            gate.open()
            #expect(try await outcome == "MigrationError")
            #expect(try await off.state == "off")
            #expect(try await pair.destination.traces(pair.uuid) == [])
        }
    }

    // MARK: The log

    /// A destination whose console takes nothing for a while.
    private struct DeafPeer: MigrationPeer {
        struct Deaf: ConsoleDestination {
            func prepareIncoming(transfer: String) async throws -> ConsoleIncoming { throw failure }
            func receive(_ chunk: ConsoleTransferChunk, transfer: String) async throws -> Int64 { throw failure }
            func install(_ seal: ConsoleTransferSeal, transfer: String) async throws { throw failure }
            private var failure: ConsoleError { ConsoleError(.storage, "planned") }
        }

        let peer: any MigrationPeer

        func checkIncoming(_ migration: IncomingMigration) async throws -> MigrationTicket {
            try await peer.checkIncoming(migration)
        }
        func prepareIncoming(
            _ migration: IncomingMigration,
            _ ticket: MigrationTicket
        ) async throws -> MigrationTicket {
            try await peer.prepareIncoming(migration, ticket)
        }
        func finishIncoming(_ uuid: InstanceUUID, transfer: String) async throws -> InstanceInfo {
            try await peer.finishIncoming(uuid, transfer: transfer)
        }
        func abandonIncoming(_ uuid: InstanceUUID, transfer: String) async throws {
            try await peer.abandonIncoming(uuid, transfer: transfer)
        }
        func knowsOutgoing(_ uuid: InstanceUUID, transfer: String) async throws -> Bool {
            try await peer.knowsOutgoing(uuid, transfer: transfer)
        }
        func presentInfo(_ uuid: InstanceUUID) async throws -> InstanceInfo? { try await peer.presentInfo(uuid) }
        func consoleDestination(_ uuid: InstanceUUID) -> any ConsoleDestination { Deaf() }
    }

    @Test(arguments: [false, true])
    func aLogThatCannotMoveIsKeptAndMovedLater(afterARestart: Bool) async throws {
        try await Self.withPair { pair in
            let world = pair.source.world
            world.peers.wrap.withLock { $0 = { DeafPeer(peer: $0) } }
            let info = try await pair.source.migrate(pair.uuid, to: pair.destination)
            #expect(info.state == "running")
            #expect(pair.source.operations.instance(pair.uuid) == nil)
            #expect(pair.source.exists(pair.source.directory(pair.uuid) + "/console.log"))
            #expect(try await !pair.destination.log(pair.uuid).contains("login: "))
            // It is not here any more, and its log is not lost by that.
            try await pair.source.destroy(pair.uuid)
            #expect(pair.source.exists(pair.source.directory(pair.uuid) + "/console.log"))
            world.peers.wrap.withLock { $0 = nil }
            var source = pair.source
            if afterARestart {
                await source.kill()
                source = try await world.host("host-a")
                try await eventually("log moved") { try await source.traces(pair.uuid) == [] }
            } else {
                await source.operations.finishLeftover(pair.uuid)
            }
            let now = Pair(source: source, destination: pair.destination, uuid: pair.uuid)
            try await now.expectOnly(at: pair.destination)
            #expect(try await pair.destination.log(pair.uuid).contains("login: "))
        }
    }

    @Test func aLogThatWasKeptDoesNotBlockTheUUID() async throws {
        try await Self.withPair { pair in
            let world = pair.source.world
            world.peers.wrap.withLock { $0 = { DeafPeer(peer: $0) } }
            _ = try await pair.source.migrate(pair.uuid, to: pair.destination)
            _ = try await pair.destination.migrate(pair.uuid, to: pair.source)
            #expect(try await pair.source.state(pair.uuid) == "running")
            // Its own log is still at the other host.
            #expect(try await pair.source.record(pair.uuid)?.move?.role == .arrived)
            let kept = try FileManager.default.contentsOfDirectory(atPath: pair.source.instancesPath)
                .filter { $0.contains(".orphan-") }
            #expect(kept.count == 1)
        }
    }
}
