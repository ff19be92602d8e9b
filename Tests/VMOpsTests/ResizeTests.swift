import Console
import Foundation
import HostBackend
import SimulatedHost
import Support
import Synchronization
import TestSupport
import Testing

@testable import VMOps

/// Cold migration and resize, on one host and between two of one process.
@Suite(.timeLimit(.minutes(10))) struct ResizeTests {
    typealias Pair = MigrationTests.Pair

    /// Two hosts and an instance that numbers its lines.
    private static func withPair(
        shared: Bool = false,
        metadata: [String: String] = ["sim.lines_per_second": "200"],
        _ body: (Pair) async throws -> Void
    ) async throws {
        try await TestWorld.with { world in
            try world.image()
            let path = world.directory + "/shared"
            let change: (inout TestHost.Options) -> Void = { options in
                if shared { options.instancesPath = path }
                options.operations.dynamicMemoryRatio = 1
            }
            let source = try await world.host("host-a", change)
            let destination = try await world.host("host-b", change)
            var request = source.request(newUUID(), metadata, image: "image")
            request.rootGB = 1
            request.ephemeralGB = [1]
            request.volumes = [try world.volume()]
            _ = try await source.operations.spawn(request, source.context)
            if !metadata.isEmpty { try await source.awaitLog(request.uuid, contains: "line 5\n") }
            try await body(Pair(source: source, destination: destination, uuid: request.uuid))
        }
    }

    private static func lines(_ host: TestHost, _ uuid: InstanceUUID) async throws -> [Int] {
        try await host.log(uuid).split(separator: "\n").filter { $0.hasPrefix("line ") }
            .compactMap { Int($0.dropFirst(5)) }
    }

    /// Each boot's lines are numbered from 1 on without gap or repetition, the last of a boot perhaps cut.
    private static func expectWholeLog(_ host: TestHost, _ uuid: InstanceUUID, boots: Int) async throws {
        let numbers = try await lines(host, uuid)
        #expect(numbers.filter { $0 == 1 }.count == boots, "\(numbers)")
        for (first, second) in zip(numbers, numbers.dropFirst()) where second != 1 {
            #expect(second == first + 1, "\(numbers)")
        }
    }

    private static func disk(_ host: TestHost, _ uuid: InstanceUUID, _ role: DiskAttachment.Role) async throws
        -> DiskInfo
    {
        let record = try #require(try await host.record(uuid))
        let disk = try #require(record.disks.first { $0.role == role })
        return try await host.backend.diskInfo(disk.path)
    }

    /// Writes into the root disk behind the machine's back, as its guest would.
    private static func mark(_ host: TestHost, _ uuid: InstanceUUID, _ byte: UInt8) async throws {
        let path = try await disk(host, uuid, .ephemeral).path
        let file = try FileHandle(forWritingTo: URL(filePath: path))
        try file.seek(toOffset: 400)
        try file.write(contentsOf: [byte])
        try file.close()
    }

    private static func readMark(_ host: TestHost, _ uuid: InstanceUUID) async throws -> UInt8? {
        let path = try await disk(host, uuid, .ephemeral).path
        let file = try FileHandle(forReadingFrom: URL(filePath: path))
        defer { try? file.close() }
        try file.seek(toOffset: 400)
        return try file.read(upToCount: 1)?.first
    }

    private static let larger = ResizeRequest(memoryMB: 128, vcpus: 2, rootGB: 2, ephemeralGB: 3)
    private static let gigabyte: UInt64 = 1 << 30

    private static func larger(to host: TestHost) -> ResizeRequest {
        var request = larger
        request.destination = host.name
        return request
    }

    // MARK: One host

    @Test func aResizeOnTheSpotIsConfirmed() async throws {
        try await Self.withPair { pair in
            let (host, uuid) = (pair.source, pair.uuid)
            let info = try await host.resize(uuid, Self.larger)
            #expect(info.state == "running" && info.memoryMB == 128 && info.vcpus == 2 && info.rootGB == 2)
            #expect(info.resize == .unconfirmed)
            #expect(try await host.backend.machine(uuid).maxMemoryKB == 128 << 10)
            #expect(try await Self.disk(host, uuid, .root).virtualSize == 2 * Self.gigabyte)
            #expect(try await Self.disk(host, uuid, .ephemeral).virtualSize == 3 * Self.gigabyte)
            try await host.awaitLog(uuid, contains: "login: ")
            #expect(try await errorClass { _ = try await host.resize(uuid, Self.larger) } == "InstanceInvalidState")
            #expect(try await host.confirm(uuid).resize == nil)
            let names = try FileManager.default.contentsOfDirectory(atPath: host.directory(uuid))
            #expect(!names.contains { $0.hasPrefix(".revert-") })
            #expect(try await host.record(uuid)?.move == nil)
            try await eventually("a second boot") { try await Self.lines(host, uuid).filter { $0 == 1 }.count == 2 }
            try await Self.expectWholeLog(host, uuid, boots: 2)
        }
    }

    @Test func aResizeOnTheSpotIsReverted() async throws {
        try await Self.withPair { pair in
            let (host, uuid) = (pair.source, pair.uuid)
            let before = try #require(try await host.record(uuid))
            try await Self.mark(host, uuid, 1)
            _ = try await host.resize(uuid, Self.larger)
            try await Self.mark(host, uuid, 2)
            let info = try await host.revert(uuid)
            #expect(info.memoryMB == 64 && info.rootGB == 1 && info.state == "running" && info.resize == nil)
            #expect(try await Self.readMark(host, uuid) == 1)
            let after = try #require(try await host.record(uuid))
            #expect(after.disks == before.disks && after.flavor == before.flavor && after.move == nil)
            #expect(try await Self.disk(host, uuid, .root).virtualSize == Self.gigabyte)
            #expect(try await host.backend.machine(uuid).maxMemoryKB == 64 << 10)
            try await eventually("a third boot") { try await Self.lines(host, uuid).filter { $0 == 1 }.count == 3 }
            try await Self.expectWholeLog(host, uuid, boots: 3)
        }
    }

    @Test func disksNeverBecomeSmaller() async throws {
        try await Self.withPair { pair in
            let (host, uuid) = (pair.source, pair.uuid)
            _ = try await host.resize(uuid, Self.larger)
            _ = try await host.confirm(uuid)
            for request in [ResizeRequest(rootGB: 1), ResizeRequest(rootGB: 0), ResizeRequest(ephemeralGB: 1)] {
                let failure = try await errorClass { _ = try await host.resize(uuid, request) }
                #expect(failure == "CannotResizeDisk")
            }
            #expect(try await host.state(uuid) == "running")
            #expect(try await host.record(uuid)?.move == nil)
            // None is another matter.
            _ = try await host.resize(uuid, ResizeRequest(ephemeralGB: 0))
            #expect(try await host.record(uuid)?.disks.contains { $0.role == .ephemeral } == false)
            _ = try await host.revert(uuid)
            #expect(try await Self.disk(host, uuid, .ephemeral).virtualSize == 3 * Self.gigabyte)
            #expect(
                try await errorClass { _ = try await host.resize(uuid, ResizeRequest()) } == "UnableToMigrateToSelf"
            )
        }
    }

    // MARK: Two hosts

    @Test(arguments: [false, true])
    func theInstanceMovesAndStays(shared: Bool) async throws {
        try await Self.withPair(shared: shared) { pair in
            let (source, destination, uuid) = (pair.source, pair.destination, pair.uuid)
            try await Self.mark(source, uuid, 1)
            let info = try await source.resize(uuid, Self.larger(to: destination))
            #expect(info.host == "host-b" && info.state == "running" && info.memoryMB == 128)
            #expect(info.resize == .unconfirmed)
            #expect(try await Self.readMark(destination, uuid) == 1)
            #expect(try await Self.disk(destination, uuid, .root).virtualSize == 2 * Self.gigabyte)
            #expect(try await Self.disk(destination, uuid, .ephemeral).virtualSize == 3 * Self.gigabyte)
            #expect(source.world.simulated.connectedVolumes.map(\.host) == ["host-b"])
            // Defined in exactly one place, and the way back is there.
            #expect(try await source.traces(uuid).filter { $0 == "machine" || $0 == "registered" } == [])
            #expect(try await source.record(uuid)?.move?.role == .kept)
            try await eventually("a second boot") {
                try await Self.lines(destination, uuid).filter { $0 == 1 }.count == 2
            }
            try await Self.expectWholeLog(destination, uuid, boots: 2)
            #expect(try await destination.confirm(uuid).resize == nil)
            #expect(try await source.traces(uuid).filter { $0 != "directory" || !shared } == [])
            #expect(try await destination.record(uuid)?.move == nil)
            let names = try FileManager.default.contentsOfDirectory(atPath: destination.directory(uuid))
            #expect(!names.contains { $0.hasPrefix(".revert-") || $0.hasPrefix(".migration-") })
            try await Self.expectWholeLog(destination, uuid, boots: 2)
        }
    }

    @Test(arguments: [false, true])
    func theInstanceGoesBackAsItWasWithItsWholeLog(shared: Bool) async throws {
        try await Self.withPair(shared: shared) { pair in
            let (source, destination, uuid) = (pair.source, pair.destination, pair.uuid)
            try await Self.mark(source, uuid, 1)
            _ = try await source.resize(uuid, Self.larger(to: destination))
            try await Self.mark(destination, uuid, 2)
            try await eventually("a second boot") {
                try await Self.lines(destination, uuid).filter { $0 == 1 }.count == 2
            }
            let info = try await destination.revert(uuid)
            #expect(info.host == "host-a" && info.state == "running" && info.memoryMB == 64 && info.resize == nil)
            #expect(try await Self.readMark(source, uuid) == 1)
            #expect(try await destination.traces(uuid).filter { $0 != "directory" || !shared } == [])
            #expect(try await Self.disk(source, uuid, .root).virtualSize == Self.gigabyte)
            #expect(source.world.simulated.connectedVolumes.map(\.host) == ["host-a"])
            try await eventually("a third boot") { try await Self.lines(source, uuid).filter { $0 == 1 }.count == 3 }
            try await Self.expectWholeLog(source, uuid, boots: 3)
            #expect(try await source.record(uuid)?.move == nil)
            // And can go again.
            #expect(try await source.resize(uuid, Self.larger(to: destination)).host == "host-b")
        }
    }

    @Test func aMachineThatIsOffStaysOff() async throws {
        try await Self.withPair { pair in
            let (source, destination, uuid) = (pair.source, pair.destination, pair.uuid)
            _ = try await source.powerOff(uuid)
            #expect(try await source.resize(uuid, Self.larger(to: destination)).state == "off")
            #expect(try await destination.revert(uuid).state == "off")
            #expect(try await source.state(uuid) == "off")
        }
    }

    @Test func whatIsDestroyedIsGoneFromBothHosts() async throws {
        try await Self.withPair { pair in
            let (source, destination, uuid) = (pair.source, pair.destination, pair.uuid)
            _ = try await source.resize(uuid, Self.larger(to: destination))
            try await destination.destroy(uuid)
            #expect(try await source.traces(uuid) == [])
            #expect(try await destination.traces(uuid) == [])
        }
    }

    @Test func whatIsNotConfirmedDoesNotMoveAndKeepsItsDevices() async throws {
        try await Self.withPair { pair in
            let (source, destination, uuid) = (pair.source, pair.destination, pair.uuid)
            _ = try await source.resize(uuid, Self.larger(to: destination))
            let volume = try source.world.volume("volume-2")
            for failure in [
                try await errorClass { _ = try await destination.migrate(uuid, to: source) },
                try await errorClass { _ = try await destination.resize(uuid, Self.larger(to: source)) },
                try await errorClass { try await destination.operations.attachVolume(uuid, volume, source.context) },
            ] {
                #expect(failure == "InstanceInvalidState")
            }
        }
    }

    // MARK: Trouble

    /// Fails at each step of either host in turn: the instance is where it was, and a repetition succeeds.
    @Test func aFailureAtAnyStepLeavesTheInstanceInOnePlace() async throws {
        try await Self.withPair(metadata: [:]) { pair in
            let (source, destination, uuid) = (pair.source, pair.destination, pair.uuid)
            let world = source.world.simulated
            var failures = 0
            for step in 0..<200 {
                let count = Mutex(0)
                let isLast = Mutex(true)
                world.setHook { _, primitive, _ in
                    let number = count.withLock { count in
                        defer { count += 1 }
                        return count
                    }
                    if number == step {
                        isLast.withLock { $0 = false }
                        throw BackendError(.internal, "planned at \(primitive)")
                    }
                }
                let failure = try await errorClass { _ = try await source.resize(uuid, Self.larger(to: destination)) }
                world.setHook(nil)
                if failure != nil { failures += 1 }
                // Whoever has something left to do, does it.
                for host in [source, destination] {
                    await host.operations.finishLeftover(uuid)
                    if let instance = host.operations.instance(uuid) { await host.operations.clearMove(instance) }
                }
                if let instance = destination.operations.instance(uuid), instance.isArriving {
                    await destination.operations.settleArrival(instance)
                }
                let places = [source, destination].filter { $0.operations.instance(uuid) != nil }
                #expect(places.count == 1, "step \(step): \(places.map(\.name))")
                let place = try #require(places.first)
                #expect(failure == nil || place.name == "host-a", "step \(step)")
                if place.name == "host-b" {
                    #expect(try await destination.operations.info(uuid).resize == .unconfirmed)
                    _ = try await destination.revert(uuid)
                }
                #expect(try await source.state(uuid) == "running", "step \(step)")
                #expect(try await source.record(uuid)?.move == nil, "step \(step)")
                #expect(try await destination.traces(uuid) == [], "step \(step)")
                if isLast.withLock({ $0 }) { break }
            }
            #expect(failures > 10)
        }
    }

    @Test func anOperatorBringsBackWhatWentToAHostThatIsGone() async throws {
        try await Self.withPair { pair in
            let (source, destination, uuid) = (pair.source, pair.destination, pair.uuid)
            _ = try await source.resize(uuid, Self.larger(to: destination))
            await destination.kill()
            let info = try await source.operations.giveUpMigration(uuid, runHere: true, source.context)
            #expect(info?.state == "running" && info?.memoryMB == 64)
            try await eventually("the second boot's lines") {
                try await Self.lines(source, uuid).count { $0 == 1 } == 2
            }
            try await Self.expectWholeLog(source, uuid, boots: 2)
        }
    }

    @Test func aConfirmationReachesASourceThatWasAway() async throws {
        try await Self.withPair { pair in
            let (source, destination, uuid) = (pair.source, pair.destination, pair.uuid)
            _ = try await source.resize(uuid, Self.larger(to: destination))
            await source.kill()
            #expect(try await destination.confirm(uuid).resize == .confirming)
            #expect(try await errorClass { _ = try await destination.revert(uuid) } == "InstanceInvalidState")
            let again = try await source.world.host("host-a")
            #expect(try await again.record(uuid)?.move?.role == .kept)
            #expect(try await destination.confirm(uuid).resize == nil)
            #expect(try await again.traces(uuid) == [])
        }
    }

    @Test func aRevertNeedsTheSourceAndChangesNothingWithoutIt() async throws {
        try await Self.withPair { pair in
            let (source, destination, uuid) = (pair.source, pair.destination, pair.uuid)
            _ = try await source.resize(uuid, Self.larger(to: destination))
            await source.kill()
            #expect(try await errorClass { _ = try await destination.revert(uuid) } != nil)
            #expect(try await destination.state(uuid) == "running")
            let again = try await source.world.host("host-a")
            #expect(try await destination.revert(uuid).host == "host-a")
            #expect(try await again.state(uuid) == "running")
        }
    }
}
