import Foundation
import GRDB
import TestSupport
import Testing

@testable import Journal

@Suite(.timeLimit(.minutes(5)))
struct JournalFileTests {
    let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func failure(_ settings: JournalSettings = JournalSettings()) -> JournalError? {
        do {
            _ = try Journal(path: directory.journal, settings: settings, logger: quiet)
            return nil
        } catch {
            return error as? JournalError
        }
    }

    @Test func saysWhatToDoAboutAFileThatIsNoJournal() throws {
        try Data(repeating: 0x41, count: 8192).write(to: URL(filePath: directory.journal))
        let error = try #require(failure())
        #expect(error.code == .damaged)
        #expect(error.message.contains("move it"))
    }

    @Test func noticesADamagedFileAtTheStart() async throws {
        let journal = try Journal(path: directory.journal, logger: quiet)
        for _ in 0..<300 { _ = try await journal.admit(request(body: [UInt8](repeating: 65, count: 500))) }
        await journal.close()
        let handle = try #require(FileHandle(forWritingAtPath: directory.journal))
        try handle.seek(toOffset: 5 * 4096)
        try handle.write(contentsOf: Data(repeating: 0xEE, count: 8 * 4096))
        try handle.close()
        #expect(failure()?.code == .damaged)
    }

    @Test func refusesASecondUser() async throws {
        let journal = try Journal(path: directory.journal, logger: quiet)
        _ = try await journal.admit(request())
        #expect(failure()?.code == .locked)
        await journal.close()
        #expect(failure() == nil)
    }

    @Test func refusesTheFileOfANewerRelease() async throws {
        let journal = try Journal(path: directory.journal, logger: quiet)
        await journal.close()
        let queue = try DatabaseQueue(path: directory.journal)
        try await queue.writeWithoutTransaction { try $0.execute(sql: "PRAGMA user_version = 99") }
        try queue.close()
        let error = try #require(failure())
        #expect(error.code == .newer)
        #expect(error.message.contains("newer release"))
    }

    @Test func refusesADirectoryThatIsNotThere() {
        let error = #expect(throws: JournalError.self) {
            _ = try Journal(path: directory.path + "/none/journal.sqlite", logger: quiet)
        }
        #expect(error?.code == .open)
    }

    @Test func forgetsIdsThatAreOldEnoughButNoneThatIsUnfinished() async throws {
        let settings = JournalSettings(rememberFor: .seconds(60), ageingInterval: .zero)
        let journal = try Journal(path: directory.journal, settings: settings, logger: quiet)
        let now = JournalStore.now()
        let unfinished = request(acceptedAt: now - 120_000)
        let old = request(acceptedAt: now - 120_000)
        let young = request(acceptedAt: now)
        _ = try await journal.admit(unfinished)
        try await journal.finish(try await journal.admit(old), outcome: .succeeded, reply: nil)
        try await journal.finish(try await journal.admit(young), outcome: .succeeded, reply: nil)
        _ = try await journal.admit(request(acceptedAt: now))
        #expect(try await journal.accept(unfinished) == .duplicate)
        #expect(try await journal.accept(young) == .duplicate)
        #expect(try await journal.accept(old) != .duplicate)
    }

    @Test func refusesRequestsAtItsSizeLimitAndServesAgainBelowIt() async throws {
        let settings = JournalSettings(sizeLimit: 1 << 20, ageingInterval: .zero)
        let journal = try Journal(path: directory.journal, settings: settings, logger: quiet)
        let body = [UInt8](repeating: 65, count: 20_000)
        var entries: [EntryID] = []
        let error = await #expect(throws: JournalError.self) {
            for _ in 0..<100 { entries.append(try await journal.admit(request(body: body))) }
        }
        #expect(error?.code == .full)
        #expect(error?.isTransient == true)
        // What was accepted can still end.
        for entry in entries {
            try await journal.finish(entry, outcome: .succeeded, reply: OwedReply(queue: "q", body: [1]))
            journal.replyDelivered(entry)
        }
        _ = try await journal.owedReplies()
        _ = try await journal.admit(request(body: body))
    }

    @Test func nothingOfAnEndedRequestStaysInAnyFile() async throws {
        let journal = try Journal(path: directory.journal, logger: quiet, pool: CommitterPool(threads: 1))
        let ended = "Ended-\(UUID().uuidString)"
        let open = "Open-\(UUID().uuidString)"
        func files(holding text: String) throws -> [String] {
            try FileManager.default.contentsOfDirectory(atPath: directory.path).filter { name in
                try Data(contentsOf: URL(filePath: directory.path + "/" + name)).range(of: Data(text.utf8)) != nil
            }
        }
        // One that fits in its page, and one that does not.
        let long = Array(String(repeating: ended, count: 2_000).utf8)
        let first = try await journal.admit(request(body: Array(ended.utf8)), started: true)
        let second = try await journal.admit(request(body: long), started: true)
        let third = try await journal.admit(request(body: Array(open.utf8)))
        #expect(try files(holding: ended) != [])
        try await journal.finish(first, outcome: .succeeded, reply: OwedReply(queue: "reply_1", body: [1]))
        try await journal.finish(second, outcome: .failed("X"), reply: nil)
        try await eventually("clean files") { try files(holding: ended) == [] }
        // What has not ended is there for the next start.
        #expect(try files(holding: open) != [])
        #expect(try await journal.request(third)?.body == Array(open.utf8))
        // Again, with nothing else to do meanwhile.
        try await journal.finish(third, outcome: .expired, reply: nil)
        try await eventually("clean files") { try files(holding: open) == [] }
        await journal.close()
    }
}
