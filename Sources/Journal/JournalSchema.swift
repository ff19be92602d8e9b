import GRDB

/// The tables, and the steps that bring an older file up to date. The number of applied steps is the file's
/// `user_version`.
///
/// `remembered` only grows at its end and shrinks at its start; `request` holds what has not ended or is still owed a
/// reply, and so stays small. A row of `request` has the `seq` of its row in `remembered`.
struct JournalSchema: Sendable {
    /// SQL; once released, a step never changes.
    let steps: [String]

    /// The one that the statements of this release are written for.
    static let current = JournalSchema(steps: [
        """
        CREATE TABLE remembered (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id BLOB NOT NULL UNIQUE,
            at INTEGER NOT NULL
        );
        CREATE TABLE request (
            seq INTEGER PRIMARY KEY,
            id TEXT NOT NULL,
            state INTEGER NOT NULL,
            method TEXT NOT NULL,
            body BLOB,
            reply_queue TEXT,
            message_id TEXT,
            accepted_at INTEGER NOT NULL,
            expires_at INTEGER,
            outcome TEXT,
            reply BLOB
        );
        CREATE TABLE instance (
            uuid TEXT PRIMARY KEY,
            record TEXT NOT NULL
        ) WITHOUT ROWID;
        """
    ])

    /// The values of `request.state`.
    enum State {
        static let accepted: Int64 = 0
        static let running: Int64 = 1
        static let finished: Int64 = 2
    }

    /// Applies the steps that the file has not seen, each in a transaction of its own: killed at any point, the file has
    /// a step as a whole or not at all, and the next start goes on.
    func migrate(_ db: Database, path: String) throws {
        let version = try Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0
        guard version <= steps.count else {
            throw JournalError(
                .newer,
                "journal \(path) has schema \(version), this release knows \(steps.count): run the newer release, "
                    + "or move the file aside to start with an empty journal"
            )
        }
        for (index, step) in steps.enumerated().dropFirst(version) {
            try db.inTransaction(.immediate) {
                try db.execute(sql: step)
                try db.execute(sql: "PRAGMA user_version = \(index + 1)")
                return .commit
            }
        }
    }
}
