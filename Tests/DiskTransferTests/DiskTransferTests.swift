import DiskImages
import Foundation
import HostBackend
import JSONCodec
import Support
import Synchronization
import TestSupport
import Testing

@testable import DiskTransfer

/// Disks between two ends on one machine, with everything in the way that a network and kill -9 put there.
@Suite(.timeLimit(.minutes(5))) struct DiskTransferTests {
    /// A disk of a few megabytes with a hole, zeros and a part of a block at its end.
    private static func makeDisk(_ path: String, seed: UInt8 = 1) throws {
        var data = Data(count: 3 << 20)
        for place in stride(from: 0, to: 1 << 20, by: 7) { data[place] = UInt8(truncatingIfNeeded: place) &+ seed }
        for place in (5 << 19)..<(5 << 19) + 100_000 { data[place] = seed }
        data.append(contentsOf: [7, 8, 9])
        try data.write(to: URL(filePath: path))
        let file = try FileHandle(forWritingTo: URL(filePath: path))
        try file.truncate(atOffset: 20 << 20)
        try file.seek(toOffset: (20 << 20) - 5)
        try file.write(contentsOf: [1, 2, 3])
        try file.close()
    }

    private static func uuid() throws -> InstanceUUID { try #require(InstanceUUID(UniqueID.makeDashed())) }

    private static func content(_ path: String) -> Data? { FileManager.default.contents(atPath: path) }

    private static func run(_ body: (_ directory: String, DiskTransfer) async throws -> Void) async throws {
        try await withTemporaryDirectory { directory in
            let limit = Duration.seconds(Sanitizer.choose(120, otherwise: 20))
            try await body(directory, DiskTransfer(address: "127.0.0.1", limit: limit))
        }
    }

    @Test func disksArriveAsTheyAreAndHolesStayHoles() async throws {
        try await Self.run { directory, carrier in
            let paths = ["a", "b"].map { directory + "/" + $0 }
            for (seed, path) in paths.enumerated() { try Self.makeDisk(path, seed: UInt8(seed + 1)) }
            let target = paths.enumerated().map { CarriedDisk(number: $0.offset * 2, path: $0.element + ".there") }
            let way = try await carrier.expect(Self.uuid(), transfer: "t1", disks: target, from: [:])
            let last = Mutex<(UInt64, UInt64)>((0, 0))
            try await carrier.send(
                paths.enumerated().map { CarriedDisk(number: $0.offset * 2, path: $0.element) },
                to: way
            ) { done, total in last.withLock { $0 = (done, total) } }
            for path in paths { #expect(Self.content(path) == Self.content(path + ".there")) }
            let status = try #require(try FileCalls.status(target[0].path))
            #expect(status.occupied < 6 << 20)
            #expect(last.withLock { $0.0 == $0.1 && $0.1 == 40 << 20 })
        }
    }

    @Test func aTransferGoesOnWhereItWas() async throws {
        try await Self.run { directory, carrier in
            let source = directory + "/disk"
            try Self.makeDisk(source)
            let target = directory + "/there"
            // What an earlier connection brought, its last block only in part.
            let known = 1 << 20
            let part = try #require(Self.content(source)).prefix(known + 1000)
            try part.write(to: URL(filePath: target + ".partial-t1"))
            let way = try await carrier.expect(
                Self.uuid(),
                transfer: "t1",
                disks: [CarriedDisk(number: 0, path: target)],
                from: [:]
            )
            try await carrier.send([CarriedDisk(number: 0, path: source)], to: way) { _, _ in }
            #expect(Self.content(source) == Self.content(target))
            #expect(!FileManager.default.fileExists(atPath: target + ".partial-t1"))
        }
    }

    @Test func whatIsThereWholeIsNotSentAgain() async throws {
        try await Self.run { directory, carrier in
            let source = directory + "/disk"
            try Self.makeDisk(source)
            let uuid = try Self.uuid()
            let disks = [CarriedDisk(number: 0, path: directory + "/there")]
            let way = try await carrier.expect(uuid, transfer: "t1", disks: disks, from: [:])
            try await carrier.send([CarriedDisk(number: 0, path: source)], to: way) { _, _ in }
            let before = try #require(try FileCalls.status(directory + "/there"))
            let again = try await carrier.expect(uuid, transfer: "t1", disks: disks, from: [:])
            try await carrier.send([CarriedDisk(number: 0, path: source)], to: again) { _, _ in }
            let after = try #require(try FileCalls.status(directory + "/there"))
            #expect(before.inode == after.inode && before.modified == after.modified)
        }
    }

    /// The part that arrived earlier is another one than the source has: a file that lies must not become a disk.
    @Test func aDamagedPartIsFoundOutAndBegunAnew() async throws {
        try await Self.run { directory, carrier in
            let source = directory + "/disk"
            try Self.makeDisk(source)
            let target = directory + "/there"
            try Data(repeating: 0xEE, count: 900_000).write(to: URL(filePath: target + ".partial-t1"))
            let uuid = try Self.uuid()
            let disks = [CarriedDisk(number: 0, path: target)]
            let way = try await carrier.expect(uuid, transfer: "t1", disks: disks, from: [:])
            await #expect(throws: BackendError.self) {
                try await carrier.send([CarriedDisk(number: 0, path: source)], to: way) { _, _ in }
            }
            #expect(Self.content(target) == nil)
            let again = try await carrier.expect(uuid, transfer: "t1", disks: disks, from: [:])
            try await carrier.send([CarriedDisk(number: 0, path: source)], to: again) { _, _ in }
            #expect(Self.content(source) == Self.content(target))
        }
    }

    @Test func aKeyIsGoodForOneConnectionAndOneTransfer() async throws {
        try await Self.run { directory, carrier in
            let source = directory + "/disk"
            try Self.makeDisk(source)
            let disks = [CarriedDisk(number: 0, path: directory + "/there")]
            var way = try await carrier.expect(Self.uuid(), transfer: "t1", disks: disks, from: [:])
            try await carrier.send([CarriedDisk(number: 0, path: source)], to: way) { _, _ in }
            await #expect(throws: BackendError.self) {
                try await carrier.send([CarriedDisk(number: 0, path: source)], to: way) { _, _ in }
            }
            way["key"] = "guessed"
            await #expect(throws: BackendError.self) {
                try await carrier.send([CarriedDisk(number: 0, path: source)], to: way) { _, _ in }
            }
        }
    }

    @Test func nothingButWhatIsExpectedIsWritten() async throws {
        try await Self.run { directory, carrier in
            let source = directory + "/disk"
            try Self.makeDisk(source)
            let uuid = try Self.uuid()
            let way = try await carrier.expect(
                uuid,
                transfer: "t1",
                disks: [CarriedDisk(number: 0, path: directory + "/there")],
                from: [:]
            )
            await #expect(throws: BackendError.self) {
                try await carrier.send([CarriedDisk(number: 5, path: source)], to: way) { _, _ in }
            }
            let other = try await carrier.expect(
                uuid,
                transfer: "t2",
                disks: [CarriedDisk(number: 0, path: directory + "/there")],
                from: [:]
            )
            carrier.forget("t2")
            await #expect(throws: BackendError.self) {
                try await carrier.send([CarriedDisk(number: 0, path: source)], to: other) { _, _ in }
            }
            let names = try FileManager.default.contentsOfDirectory(atPath: directory)
            #expect(names == ["disk"])
        }
    }
}
