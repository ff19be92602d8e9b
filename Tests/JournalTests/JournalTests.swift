import Foundation
import HostBackend
import Logging
import Synchronization
import TestSupport
import Testing

@testable import Journal

/// A directory of its own for one test, removed with the test.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "journal-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    var journal: String { path + "/journal.sqlite" }
}

let quiet = Logger(label: "journal") { _ in SwiftLogNoOpLogHandler() }

func request(
    _ id: String = UUID().uuidString.replacing("-", with: "").lowercased(),
    method: String = "power_on",
    body: [UInt8] = Array("{\"method\": \"power_on\"}".utf8),
    call: Bool = true,
    acceptedAt: Int64 = 1_700_000_000_000
) -> AcceptedRequest {
    AcceptedRequest(
        uniqueID: id,
        method: method,
        body: body,
        replyQueue: call ? "reply_1" : nil,
        messageID: call ? "m-\(id)" : nil,
        acceptedAt: acceptedAt,
        expiresAt: call ? acceptedAt + 60_000 : nil
    )
}

extension Journal {
    /// Accepts a request that must be new.
    func admit(_ request: AcceptedRequest, started: Bool = false) async throws -> EntryID {
        guard case .accepted(let entry) = try await accept(request, started: started) else {
            throw JournalError(.storage, "unexpected duplicate")
        }
        return entry
    }
}

@Suite(.timeLimit(.minutes(5)))
struct JournalTests {
    let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    func open(_ settings: JournalSettings = JournalSettings()) throws -> Journal {
        try Journal(path: directory.journal, settings: settings, logger: quiet)
    }

    @Test func acceptsARequestOnceAlsoAcrossARestart() async throws {
        let journal = try open()
        let one = request()
        let entry = try await journal.admit(one)
        #expect(try await journal.accept(one) == .duplicate)
        try await journal.finish(entry, outcome: .succeeded, reply: nil)
        #expect(try await journal.accept(one) == .duplicate)
        await journal.close()

        let again = try open()
        #expect(try await again.accept(one) == .duplicate)
        #expect(try await again.unfinished().isEmpty)
        await again.close()
    }

    @Test func recognisesARepetitionWithinOneTransaction() async throws {
        let journal = try open()
        let one = request()
        let answers = try await withThrowingTaskGroup(of: Acceptance.self) { group in
            for _ in 0..<50 { group.addTask { try await journal.accept(one) } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(answers.filter { $0 == .duplicate }.count == 49)
    }

    @Test(arguments: ["", "short", "ABCDEF0123456789ABCDEF0123456789", "ünïcode", String(repeating: "x", count: 300)])
    func keepsIdsOfAnyForm(id: String) async throws {
        let journal = try open()
        _ = try await journal.admit(request(id))
        #expect(try await journal.accept(request(id)) == .duplicate)
        _ = try await journal.admit(request(id + "0"))
        #expect(try await journal.unfinished().map(\.request.uniqueID) == [id, id + "0"])
    }

    @Test func givesBackWhatHasNotEndedInOrderOfAcceptance() async throws {
        let journal = try open()
        let body = [UInt8](0...255)
        let waiting = request(body: body)
        let running = request()
        let begun = request(call: false)
        let ended = request()
        _ = try await journal.admit(waiting)
        let second = try await journal.admit(running)
        try await journal.started(second)
        _ = try await journal.admit(begun, started: true)
        try await journal.finish(try await journal.admit(ended), outcome: .failed("InstanceNotFound"), reply: nil)
        await journal.close()

        let again = try open()
        let found = try await again.unfinished()
        #expect(found.map(\.request) == [waiting, running, begun])
        #expect(found.map(\.started) == [false, true, true])
        #expect(try await again.request(found[0].entry) == waiting)
        #expect(try await again.unfinished(after: found[1].entry).map(\.request) == [begun])
        #expect(try await again.unfinished(limit: 1).map(\.request) == [waiting])
    }

    @Test func owesAReplyUntilItIsDelivered() async throws {
        let journal = try open()
        let first = try await journal.admit(request())
        let second = try await journal.admit(request())
        try await journal.finish(first, outcome: .succeeded, reply: OwedReply(queue: "reply_1", body: [1, 0, 2]))
        try await journal.finish(second, outcome: .succeeded, reply: OwedReply(queue: "reply_2", body: [3]))
        #expect(try await journal.unfinished().isEmpty)
        #expect(try await journal.request(first) == nil)
        journal.replyDelivered(first)
        await journal.close()

        let again = try open()
        let owed = try await again.owedReplies()
        #expect(owed.map(\.reply) == [OwedReply(queue: "reply_2", body: [3])])
        #expect(owed.map(\.entry) == [second])
    }

    @Test func writesADeliveryEvenWhenNothingElseIsCommitted() async throws {
        let journal = try open()
        let entry = try await journal.admit(request())
        try await journal.finish(entry, outcome: .succeeded, reply: OwedReply(queue: "q", body: [1]))
        await confirmation { written in
            await withCheckedContinuation { continuation in
                journal.submit(.delivered(entry)) { _ in
                    written()
                    continuation.resume()
                }
            }
        }
        #expect(try await journal.owedReplies().isEmpty)
    }

    @Test func keepsRecordsWhole() async throws {
        let journal = try open()
        let record = try #require(sampleRecord())
        try await journal.save(record)
        var changed = record
        changed.complete = true
        changed.state = .running
        try await journal.save(changed)
        await journal.close()

        let again = try open()
        #expect(try await again.records() == [changed])
        try await again.remove(record.uuid)
        try await again.remove(record.uuid)
        #expect(try await again.records().isEmpty)
    }

    @Test func refusesWorkAfterClosing() async throws {
        let journal = try open()
        await journal.close()
        await #expect(throws: JournalError.self) { try await journal.accept(request()) }
        await journal.close()
    }

    @Test func keepsItsFileToTheOwner() async throws {
        let journal = try open()
        _ = try await journal.admit(request())
        for name in try FileManager.default.contentsOfDirectory(atPath: directory.path) {
            let attributes = try FileManager.default.attributesOfItem(atPath: directory.path + "/" + name)
            #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o600, "\(name)")
        }
        _ = journal
    }

    @Test func servesManyJournalsWithFewOpenFiles() async throws {
        let pool = CommitterPool(threads: 2, openFiles: 4)
        let journals = try (0..<40).map { number in
            try Journal(path: directory.path + "/\(number).sqlite", logger: quiet, pool: pool)
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for journal in journals {
                group.addTask {
                    for _ in 0..<5 { _ = try await journal.admit(request()) }
                }
            }
            try await group.waitForAll()
        }
        let path = directory.path
        try await eventually {
            let files = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").filter { name in
                let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/" + name)
                return target?.hasPrefix(path) == true && target?.hasSuffix(".sqlite") == true
            }
            return files.count <= 4
        }
        for journal in journals { #expect(try await journal.unfinished().count == 5) }
    }

    private func sampleRecord() -> InstanceRecord? {
        guard let uuid = InstanceUUID("2b7e1516-28ae-d2a6-abf7-158809cf4f3c") else { return nil }
        return InstanceRecord(
            uuid: uuid,
            name: "né \"1\"",
            memoryMB: 512,
            vcpus: 2,
            rootGB: 10,
            ephemeralGB: [1, 2],
            imageRef: "cirros",
            configDrive: true,
            metadata: ["guest": "quick", "": "e"],
            interfaces: [
                NetworkInterface(id: "v1", macAddress: "fa:16:3e:00:00:01"),
                NetworkInterface(
                    id: "v2",
                    macAddress: "fa:16:3e:00:00:02",
                    type: "ovs",
                    bridge: "br",
                    deviceName: "tap2",
                    active: false
                ),
            ],
            disks: [
                DiskAttachment(
                    role: .volume,
                    media: .cdrom,
                    path: "/dev/sdb",
                    format: "raw",
                    address: DeviceAddress(bus: .scsi, controller: 1, unit: 3),
                    identifier: "vol"
                )
            ],
            spawnRequest: "abc",
            createdAt: 12
        )
    }
}
