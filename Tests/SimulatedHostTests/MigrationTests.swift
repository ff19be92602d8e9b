import Foundation
import HostBackend
import HostConformance
import SimulatedHost
import Support
import Synchronization
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(5))) struct MigrationTests {
    /// Two hosts and a machine that runs on the first, with a root disk of its own.
    private struct Pair {
        var bench: Bench
        var source: SimulatedHost
        var destination: SimulatedHost
        var spec: MachineSpec
        /// The machine as the destination is to have it.
        var there: MachineSpec
        var console: ConsoleReader

        func options(copy: Bool = true) -> MigrationOptions {
            MigrationOptions(copyStorage: copy, destination: "host-b")
        }

        func ticket(copy: Bool = true) async throws -> MigrationTicket {
            let checked = try await destination.checkIncoming(there, options(copy: copy))
            return try await destination.prepareIncoming(there, try await source.checkOutgoing(spec.uuid, checked))
        }

        /// Runs the migration while time goes on.
        func migrate(_ ticket: MigrationTicket, _ log: Progress = Progress()) async throws {
            // Ends with the migration; a failure ends the other.
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await source.migrate(spec.uuid, ticket) { log.add($0) } }
                group.addTask {
                    while !Task.isCancelled {
                        await bench.world.untilSleeping()
                        bench.world.advance(by: .milliseconds(10))
                    }
                }
                defer { group.cancelAll() }
                _ = try await group.next()
            }
        }
    }

    final class Progress: Sendable {
        private let list = Mutex<[MigrationProgress]>([])
        func add(_ progress: MigrationProgress) { list.withLock { $0.append(progress) } }
        var all: [MigrationProgress] { list.withLock { $0 } }
        var phases: [MigrationProgress.Phase] {
            all.map(\.phase).reduce(into: []) { if $0.last != $1 { $0.append($1) } }
        }
    }

    private func withPair(
        _ metadata: [String: String] = [:],
        shared: Bool = false,
        _ change: (inout SimulatedSettings) throws -> Void = { _ in },
        _ body: (Pair) async throws -> Void
    ) async throws {
        try await withBench { bench in
            let source = try await bench.host("host-a", change)
            let destination = try await bench.host("host-b", change)
            let here = bench.directory + "/disk-a"
            let there = shared ? here : bench.directory + "/disk-b"
            _ = try await source.createDisk(
                DiskRequest(path: here, format: "raw", source: .blank, virtualSize: 1 << 20)
            )
            func disk(_ path: String) -> DiskAttachment {
                let address = DeviceAddress(bus: .ide, controller: 0, unit: 0)
                return DiskAttachment(role: .root, path: path, format: "raw", address: address)
            }
            var spec = bench.spec("vm", metadata.merging(["sim.lines_per_second": "100"]) { $1 })
            spec.disks = [disk(here)]
            var arriving = spec
            arriving.disks = [disk(there)]
            try await source.createMachine(spec)
            _ = try await source.setState(spec.uuid, .running, deadline: .seconds(5))
            let console = try await ConsoleReader(source.openConsole(spec.uuid))
            bench.world.advance(by: .milliseconds(105))
            try await body(
                Pair(
                    bench: bench,
                    source: source,
                    destination: destination,
                    spec: spec,
                    there: arriving,
                    console: console
                )
            )
            await source.disconnect()
            await destination.disconnect()
        }
    }

    @Test func theGuestMovesAndNoLineIsLostOrDoubled() async throws {
        try await withPair { pair in
            let (left, arrived) = (EventLog(pair.source), EventLog(pair.destination))
            let ticket = try await pair.ticket()
            #expect(try await pair.destination.machines().isEmpty)
            let progress = Progress()
            try await pair.migrate(ticket, progress)
            #expect(progress.phases == [.setup, .precopy, .switchover, .completed])
            #expect(progress.all.last?.remainingBytes == 0)
            #expect(await code { _ = try await pair.source.machine(pair.spec.uuid) } == .notFound)
            #expect(try await pair.source.machines().isEmpty)
            #expect(try await pair.destination.machine(pair.spec.uuid).state == .running)
            try await pair.destination.finishIncoming(pair.spec.uuid)
            try await pair.source.finishOutgoing(pair.spec.uuid)
            #expect(try await pair.destination.machines().map(\.uuid) == [pair.spec.uuid])
            let before = lineNumbers(try await pair.console.untilEnd())
            let reader = try await ConsoleReader(pair.destination.openConsole(pair.spec.uuid))
            pair.bench.world.advance(by: .seconds(1))
            let after = lineNumbers(reader.text)
            #expect(before.count > 40)
            #expect(after.count >= 100)
            #expect(before + after == Array(1...UInt64(before.count + after.count)))
            #expect(!reader.text.contains("kernel"))
            try await left.expect(pair.spec.uuid, [.migratedOut])
            try await arrived.expect(pair.spec.uuid, [.migratedIn])
            #expect(FileManager.default.fileExists(atPath: pair.bench.directory + "/disk-b"))
        }
    }

    @Test func aPausedGuestStaysPausedAndItsPendingOutputGoesAlong() async throws {
        try await withPair { pair in
            let uuid = pair.spec.uuid
            try await pair.source.writeConsole(uuid, Array("lines 200000\r".utf8))
            _ = try await pair.source.setState(uuid, .paused, deadline: .seconds(5))
            try await pair.migrate(try await pair.ticket())
            try await pair.destination.finishIncoming(uuid)
            #expect(try await pair.destination.machine(uuid).state == .paused)
            let reader = try await ConsoleReader(pair.destination.openConsole(uuid))
            let before = try await pair.console.untilEnd()
            #expect(reader.text.isEmpty)
            _ = try await pair.destination.setState(uuid, .running, deadline: .seconds(5))
            let after = try await reader.until("line 200000\n")
            let numbers = lineNumbers(before + after)
            let start = numbers.lastIndex(of: 1) ?? 0
            #expect(Array(numbers[start...].prefix(200_000)) == Array(1...200_000))
        }
    }

    @Test func sharedDisksAreNotCopied() async throws {
        try await withPair(shared: true) { pair in
            try await pair.migrate(try await pair.ticket(copy: false))
            try await pair.destination.finishIncoming(pair.spec.uuid)
            #expect(try await pair.destination.machine(pair.spec.uuid).state == .running)
        }
    }

    @Test func disksThatCannotBeSeenHaveToBeCopied() async throws {
        try await withPair { pair in
            #expect(await code { _ = try await pair.ticket(copy: false) } == .invalidArgument)
        }
    }

    @Test(arguments: [true, false]) func declaredStorageDecidesWhetherDisksAreCopied(shared: Bool) async throws {
        try await withPair(shared: true, { $0.sharedStorage = shared }) { pair in
            #expect(await code { _ = try await pair.ticket(copy: shared) } == .invalidArgument)
            #expect(await code { _ = try await pair.ticket(copy: !shared) } == nil)
        }
    }

    @Test(arguments: [Primitive.migrate, .migrateSetup, .migratePrecopy, .migrateSwitchover])
    func aFaultBeforeTheSwitchOverLeavesEverythingAsItWas(primitive: Primitive) async throws {
        let fault = { (settings: inout SimulatedSettings) in
            settings.plan.faults[primitive] = try FaultRule.parse("nth:1 internal")
        }
        try await withPair([:], fault) { pair in
            let uuid = pair.spec.uuid
            let ticket = try await pair.ticket()
            #expect(await code { try await pair.migrate(ticket) } == .internal)
            #expect(try await pair.source.machine(uuid).state == .running)
            #expect(!FileManager.default.fileExists(atPath: pair.bench.directory + "/disk-b"))
            for _ in 1...2 { try await pair.destination.abandonIncoming(uuid) }
            #expect(await code { try await pair.source.finishOutgoing(uuid) } == .invalidState)
            let count = lineNumbers(pair.console.text).count
            pair.bench.world.advance(by: .seconds(1))
            #expect(lineNumbers(pair.console.text) == Array(1...UInt64(count + 100)))
            // The second attempt succeeds.
            try await pair.migrate(try await pair.ticket())
            try await pair.destination.finishIncoming(uuid)
            #expect(try await pair.destination.machine(uuid).state == .running)
        }
    }

    @Test func aFaultAfterTheSwitchOverDoesNotBringTheGuestBack() async throws {
        let fault = { (settings: inout SimulatedSettings) in
            settings.plan.faults[.migrateCompleted] = try FaultRule.parse("always internal")
        }
        try await withPair([:], fault) { pair in
            let ticket = try await pair.ticket()
            #expect(await code { try await pair.migrate(ticket) } == .internal)
            #expect(await code { _ = try await pair.source.machine(pair.spec.uuid) } == .notFound)
            #expect(try await pair.destination.machine(pair.spec.uuid).state == .running)
            #expect(await code { try await pair.destination.abandonIncoming(pair.spec.uuid) } == .conflict)
        }
    }

    @Test func cancellingBeforeTheSwitchOverKeepsTheGuestHere() async throws {
        try await withPair { pair in
            let ticket = try await pair.ticket()
            let log = EventLog(pair.source)
            // Cancelled and awaited below.
            let task = Task {
                await code { try await pair.source.migrate(pair.spec.uuid, ticket) { _ in } }
            }
            await pair.bench.world.untilSleeping()
            task.cancel()
            #expect(await task.value == .cancelled)
            #expect(try await pair.source.machine(pair.spec.uuid).state == .running)
            #expect(!FileManager.default.fileExists(atPath: pair.bench.directory + "/disk-b"))
            try await pair.destination.abandonIncoming(pair.spec.uuid)
            #expect(log.kinds(pair.spec.uuid).isEmpty)
        }
    }

    @Test func aGuestThatStopsDuringTheCopyDoesNotMove() async throws {
        try await withPair(["sim.poweroff_after_ms": "300"]) { pair in
            let ticket = try await pair.ticket()
            #expect(await code { try await pair.migrate(ticket) } == .invalidState)
            #expect(try await pair.source.machine(pair.spec.uuid).state == .off)
        }
    }

    @Test func aMigrationNeedsAPreparedDestination() async throws {
        try await withPair { pair in
            let uuid = pair.spec.uuid
            let ticket = try await pair.ticket()
            for _ in 1...2 { _ = try await pair.destination.prepareIncoming(pair.there, ticket) }
            try await pair.destination.abandonIncoming(uuid)
            #expect(await code { try await pair.migrate(ticket) } == .conflict)
            let again = try await pair.ticket()
            await pair.destination.disconnect()
            #expect(await code { try await pair.migrate(again) } == .unavailable)
            #expect(await code { try await pair.source.migrate(uuid, [:]) { _ in } } == .invalidArgument)
        }
    }

    @Test func aGuestCannotMoveToItsOwnHostOrWhereItsNameIsTaken() async throws {
        try await withPair { pair in
            let options = MigrationOptions(copyStorage: true, destination: "host-a")
            #expect(await code { _ = try await pair.source.checkIncoming(pair.spec, options) } == .alreadyExists)
            _ = try await pair.source.setState(pair.spec.uuid, .off, deadline: .seconds(5))
            let ticket = try await pair.destination.checkIncoming(pair.there, pair.options())
            #expect(await code { _ = try await pair.source.checkOutgoing(pair.spec.uuid, ticket) } == .invalidState)
        }
    }

    @Test func aCrashBetweenTheTwoEndsDeliversTheGuestAtTheNextStart() async throws {
        try await withPair { pair in
            let (bench, uuid) = (pair.bench, pair.spec.uuid)
            let ticket = try await pair.ticket()
            let records = { (host: String) in bench.directory + "/\(host)/machines/\(uuid).json" }
            let planned = try Data(contentsOf: URL(fileURLWithPath: records("host-b")))
            // What is on disk between the commit at the source and the arrival: the source's last file before the
            // destination's is written. Taken from a run whose destination file is put back.
            try await pair.migrate(ticket)
            let before = lineNumbers(try await pair.console.untilEnd())
            pair.source.simulateCrash()
            pair.destination.simulateCrash()
            let record = try String(contentsOfFile: records("host-b"), encoding: .utf8)
            let guest = try #require(record.range(of: "\"guest\":{"))
            let object = record[guest.upperBound...].prefix { $0 != "}" }
            var source = try String(contentsOfFile: records("host-a"), encoding: .utf8)
            #expect(!source.contains("\"departed\":{"))
            source.removeLast()
            source += ",\"departed\":{\(object)}}"
            try Data(source.utf8).write(to: URL(fileURLWithPath: records("host-a")))
            try planned.write(to: URL(fileURLWithPath: records("host-b")))

            let world = try SimulatedWorld(clock: bench.world.clock)
            let hostA = try await bench.host("host-a", world: world)
            #expect(await code { _ = try await hostA.machine(uuid) } == .notFound)
            #expect(await code { try await hostA.finishOutgoing(uuid) } == .conflict)
            let hostB = try await bench.host("host-b", world: world)
            #expect(try await hostB.machine(uuid).state == .running)
            try await hostB.finishIncoming(uuid)
            try await hostA.finishOutgoing(uuid)
            let reader = try await ConsoleReader(hostB.openConsole(uuid))
            world.advance(by: .seconds(1))
            #expect((lineNumbers(reader.text).first ?? 0) > (before.last ?? 0))
            await hostA.disconnect()
            await hostB.disconnect()
        }
    }
}
