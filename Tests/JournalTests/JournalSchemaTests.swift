import Foundation
import GRDB
import HostBackend
import TestSupport
import Testing

@testable import Journal

/// Files that a worker of an earlier release left when it was killed, as `Tests/Journals` has them for each schema.
@Suite(.timeLimit(.minutes(5)))
struct JournalSchemaTests {
    let directory: TemporaryDirectory

    private static let folder = Checkout.root.appending(path: "Tests/Journals").path

    init() throws { directory = try TemporaryDirectory() }

    private static let requests = (1...6).map { number in
        request(
            String(repeating: "\(number)", count: 32),
            method: "method_\(number)",
            body: Array("{\"method\": \"method_\(number)\"}".utf8),
            call: number % 2 == 0,
            // Far away, for no id is to age.
            acceptedAt: 4_000_000_000_000 + Int64(number)
        )
    }

    private static let records = ["complete", "half"].enumerated().compactMap { index, name in
        InstanceUUID("0000000\(index)-0000-4000-8000-000000000000").map {
            InstanceRecord(
                uuid: $0,
                name: name,
                memoryMB: 64,
                vcpus: 1,
                rootGB: 0,
                complete: name == "complete",
                createdAt: 4_000_000_000
            )
        }
    }

    /// The first two wait, the third and fourth run, the fifth has ended, and the sixth too, with its reply owed.
    private static func fill(_ journal: Journal) async throws {
        for (index, request) in requests.enumerated() {
            let entry = try await journal.admit(request, started: index == 2)
            switch index {
            case 3: try await journal.started(entry)
            case 4: try await journal.finish(entry, outcome: .succeeded, reply: nil)
            case 5:
                let reply = OwedReply(queue: "reply_6", body: Array("{\"result\": 6}".utf8))
                try await journal.finish(entry, outcome: .failed("InstanceNotFound"), reply: reply)
            default: break
            }
        }
        for record in records { try await journal.save(record) }
    }

    private func expectAll(_ journal: Journal) async throws {
        let unfinished = try await journal.unfinished()
        #expect(unfinished.map(\.request) == Array(Self.requests[..<4]))
        #expect(unfinished.map(\.started) == [false, false, true, true])
        for request in Self.requests { #expect(try await journal.accept(request) == .duplicate) }
        let owed = try await journal.owedReplies()
        #expect(owed.map(\.reply) == [OwedReply(queue: "reply_6", body: Array("{\"result\": 6}".utf8))])
        #expect(try await journal.records() == Self.records)
    }

    /// What was waiting can end, and something new can come.
    private func expectService(_ journal: Journal) async throws {
        for entry in try await journal.unfinished().map(\.entry) {
            try await journal.finish(entry, outcome: .succeeded, reply: nil)
        }
        for reply in try await journal.owedReplies() { journal.replyDelivered(reply.entry) }
        let entry = try await journal.admit(request())
        #expect(try await journal.unfinished().map(\.entry) == [entry])
    }

    private func copy(_ version: Int) throws {
        for suffix in ["", "-wal"] {
            let source = "\(Self.folder)/schema-\(version).sqlite\(suffix)"
            try FileManager.default.copyItem(atPath: source, toPath: directory.journal + suffix)
        }
    }

    private func open(_ schema: JournalSchema = .current) throws -> Journal {
        try Journal(
            path: directory.journal,
            settings: JournalSettings(),
            schema: schema,
            logger: quiet,
            pool: CommitterPool(threads: 1)
        )
    }

    private func version() async throws -> Int? {
        let queue = try DatabaseQueue(path: directory.journal)
        defer { try? queue.close() }
        return try await queue.read { try Int.fetchOne($0, sql: "PRAGMA user_version") }
    }

    @Test(arguments: 1...JournalSchema.current.steps.count)
    func aFileOfAnEarlierReleaseKeepsAllItHolds(version: Int) async throws {
        try copy(version)
        let journal = try open()
        try await expectAll(journal)
        try await expectService(journal)
        await journal.close()
        #expect(try await self.version() == JournalSchema.current.steps.count)
    }

    /// As a later release may do: another table for the rows that are there, and another column.
    private static let rebuild = """
        ALTER TABLE request RENAME TO former;
        CREATE TABLE request (
            seq INTEGER PRIMARY KEY, id TEXT NOT NULL, state INTEGER NOT NULL, method TEXT NOT NULL, body BLOB,
            reply_queue TEXT, message_id TEXT, accepted_at INTEGER NOT NULL, expires_at INTEGER, outcome TEXT,
            reply BLOB, weight INTEGER NOT NULL DEFAULT 0
        );
        INSERT INTO request SELECT *, 1 FROM former;
        DROP TABLE former;
        """

    @Test func stepsThatRebuildTablesKeepAllThatIsThere() async throws {
        try copy(1)
        let steps = JournalSchema.current.steps + [Self.rebuild, "CREATE INDEX request_state ON request (state);"]
        let journal = try open(JournalSchema(steps: steps))
        try await expectAll(journal)
        // The file is closed when it is not used, and opened again with the same schema.
        journal.releaseFile()
        try await expectAll(journal)
        try await expectService(journal)
        await journal.close()
        #expect(try await version() == steps.count)
        #expect(throws: JournalError.self) { try open() }
    }

    @Test func aStepThatFailsLeavesTheFileAsItWas() async throws {
        try copy(1)
        let broken = JournalSchema(steps: JournalSchema.current.steps + [Self.rebuild + "DELETE FROM nothing;"])
        #expect(throws: JournalError.self) { try open(broken) }
        let journal = try open()
        try await expectAll(journal)
        await journal.close()
        #expect(try await version() == JournalSchema.current.steps.count)
    }

    /// `VMOPS_WRITE_JOURNAL`: makes the files of this release's schema, for the releases to come.
    @Test(.enabled(if: ProcessInfo.processInfo.environment["VMOPS_WRITE_JOURNAL"] != nil))
    func theFilesOfThisReleaseAreWritten() async throws {
        let journal = try open()
        try await Self.fill(journal)
        let name = "\(Self.folder)/schema-\(JournalSchema.current.steps.count).sqlite"
        try FileManager.default.createDirectory(atPath: Self.folder, withIntermediateDirectories: true)
        for suffix in ["", "-wal"] {
            // Before the log is cleared, and while the journal is open: as after a kill.
            try FileManager.default.copyItem(atPath: directory.journal + suffix, toPath: name + suffix)
        }
        await journal.close()
    }
}
