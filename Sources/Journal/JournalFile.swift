import GRDB
import Glibc
import Support

/// The database file: opened with the settings that durability needs, checked, migrated.
enum JournalFile {
    /// Opens the file, creating it with mode 0600. SQLite gives the write-ahead log the same mode.
    ///
    /// - Parameters:
    ///   - schema: what the file is brought to.
    ///   - check: look for damage; done once per process, as it reads the whole file.
    static func open(
        path: String,
        settings: JournalSettings,
        schema: JournalSchema,
        check: Bool
    ) throws -> DatabaseQueue {
        let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            let reason = String(cString: strerror(errno))
            throw JournalError(.open, "journal \(path) cannot be opened: \(reason)")
        }
        close(descriptor)
        do {
            let queue = try DatabaseQueue(path: path, configuration: configuration(settings))
            try queue.writeWithoutTransaction { db in
                if check { try self.check(db, path: path) }
                try schema.migrate(db, path: path)
            }
            return queue
        } catch let error as DatabaseError {
            throw translate(error, path: path)
        }
    }

    private static func configuration(_ settings: JournalSettings) -> Configuration {
        var configuration = Configuration()
        configuration.foreignKeysEnabled = false
        configuration.label = "journal"
        let checkpointPages = settings.checkpointPages
        configuration.prepareDatabase { db in
            // The lock is held as long as the file is open: a second process is refused, and no shared memory file is
            // needed. It must be set before the log is first touched.
            try db.execute(sql: "PRAGMA locking_mode = EXCLUSIVE")
            try db.execute(sql: "PRAGMA page_size = 4096")
            try db.execute(sql: "PRAGMA auto_vacuum = INCREMENTAL")
            // Requests hold passwords; how SQLite was built is not to decide whether they stay when the row is gone.
            try db.execute(sql: "PRAGMA secure_delete = ON")
            try db.execute(sql: "PRAGMA journal_mode = WAL")
            try db.execute(sql: "PRAGMA synchronous = FULL")
            try db.execute(sql: "PRAGMA wal_autocheckpoint = \(checkpointPages)")
            try db.execute(sql: "PRAGMA journal_size_limit = \(checkpointPages * 4096 * 2)")
            try db.execute(sql: "PRAGMA cache_size = -512")
        }
        return configuration
    }

    private static func check(_ db: Database, path: String) throws {
        let verdict = try String.fetchOne(db, sql: "PRAGMA quick_check(1)") ?? "no answer"
        guard verdict == "ok" else {
            throw damaged(path: path, cause: DatabaseError(resultCode: .SQLITE_CORRUPT, message: verdict))
        }
    }

    private static func damaged(path: String, cause: any Error) -> JournalError {
        JournalError(
            .damaged,
            """
            journal \(path) is damaged. Restore it from a backup, rescue it with "sqlite3 \(path) .recover", or move \
            it and \(path)-wal aside to start with an empty journal: requests that were accepted and not finished, \
            and the records of this host's instances, are then forgotten
            """,
            cause: cause
        )
    }

    /// What an SQLite error means for the requests in hand.
    static func translate(_ error: any Error, path: String) -> JournalError {
        if let error = error as? JournalError { return error }
        guard let error = error as? DatabaseError else {
            return JournalError(.storage, "journal \(path) failed", cause: error)
        }
        switch error.resultCode {
        case .SQLITE_FULL:
            return JournalError(.full, "journal \(path) cannot grow", cause: error)
        case .SQLITE_BUSY, .SQLITE_LOCKED:
            return JournalError(.locked, "journal \(path) is open in another process", cause: error)
        case .SQLITE_CORRUPT, .SQLITE_NOTADB:
            return damaged(path: path, cause: error)
        case .SQLITE_CANTOPEN, .SQLITE_PERM, .SQLITE_AUTH:
            return JournalError(.open, "journal \(path) cannot be opened", cause: error)
        default:
            return JournalError(.storage, "journal \(path) cannot be read or written", cause: error)
        }
    }
}
