import GRDB

/// Forgets ids that are old enough, and older ones early when the file nears its limit; gives freed pages back.
enum JournalAgeing {
    /// Rows removed per round: a round must not hold up requests.
    private static let batch = 5_000

    struct Report {
        var forgotten = 0
        /// Forgotten before their time, to keep within the size limit.
        var early = 0
        /// Bytes that the file's rows occupy.
        var usedBytes: Int64 = 0

        /// Whether another round would find as much again.
        var isPartial: Bool { forgotten >= batch || early > 0 }
    }

    /// One round, in a transaction of its own.
    static func run(_ db: Database, now: Int64, settings: JournalSettings) throws -> Report {
        var report = Report()
        let horizon = now - settings.rememberFor.milliseconds
        try db.inTransaction(.immediate) {
            // The ids of requests that have not ended stay, whatever their age. Only the oldest rows are looked at.
            try db.execute(
                sql: """
                    DELETE FROM remembered WHERE seq IN (
                        SELECT seq FROM (SELECT seq, at FROM remembered ORDER BY seq LIMIT ?)
                        WHERE at < ? AND seq NOT IN (SELECT seq FROM request))
                    """,
                arguments: [batch, horizon]
            )
            report.forgotten = db.changesCount
            report.usedBytes = try usedBytes(db)
            if report.usedBytes > settings.sizeLimit / 10 * 9 {
                try db.execute(
                    sql: """
                        DELETE FROM remembered WHERE seq IN (
                            SELECT seq FROM remembered WHERE seq NOT IN (SELECT seq FROM request)
                            ORDER BY seq LIMIT ?)
                        """,
                    arguments: [batch]
                )
                report.early = db.changesCount
            }
            return .commit
        }
        if report.forgotten + report.early > 0 { try db.execute(sql: "PRAGMA incremental_vacuum(256)") }
        return report
    }

    static func usedBytes(_ db: Database) throws -> Int64 {
        let pages = try Int64.fetchOne(db.cachedStatement(sql: "PRAGMA page_count")) ?? 0
        let free = try Int64.fetchOne(db.cachedStatement(sql: "PRAGMA freelist_count")) ?? 0
        return (pages - free) * 4096
    }
}

extension Duration {
    var milliseconds: Int64 {
        components.seconds * 1_000 + components.attoseconds / 1_000_000_000_000_000
    }
}
