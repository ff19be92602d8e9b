import FoundationEssentials
import GRDB

/// The statements behind the operations. Each uses the connection's cache of prepared statements.
enum JournalStatements {
    /// Runs one operation inside the present transaction.
    ///
    /// A failure undoes this operation only, unless SQLite gave up the whole transaction, which the caller sees from
    /// `isInsideTransaction`.
    static func apply(_ kind: JournalOperation.Kind, in db: Database) throws -> JournalOperation.Value {
        switch kind {
        case .accept(let request, let started): return .acceptance(try accept(request, started: started, in: db))
        case .started(let entry):
            try run(db, "UPDATE request SET state = 1 WHERE seq = ?", [entry.number.databaseValue])
        case .finish(let entry, let outcome, let reply): try finish(entry, outcome, reply, in: db)
        case .delivered(let entry):
            try run(db, "DELETE FROM request WHERE seq = ?", [entry.number.databaseValue])
        case .save(let uuid, let text):
            try run(
                db,
                "INSERT OR REPLACE INTO instance (uuid, record) VALUES (?, ?)",
                [uuid.databaseValue, text.databaseValue]
            )
        case .remove(let uuid): try run(db, "DELETE FROM instance WHERE uuid = ?", [uuid.databaseValue])
        case .load(let entry): return .request(try load(entry, in: db))
        case .unfinished(let after, let limit): return .unfinished(try unfinished(after: after, limit: limit, in: db))
        case .owed(let after, let limit): return .owed(try owed(after: after, limit: limit, in: db))
        case .records: return .records(try String.fetchAll(db, sql: "SELECT record FROM instance ORDER BY uuid"))
        case .close: break
        }
        return .done
    }

    private static func accept(_ request: AcceptedRequest, started: Bool, in db: Database) throws -> Acceptance {
        try run(
            db,
            "INSERT OR IGNORE INTO remembered (id, at) VALUES (?, ?)",
            [key(request.uniqueID), request.acceptedAt.databaseValue]
        )
        guard db.changesCount > 0 else { return .duplicate }
        let entry = EntryID(number: db.lastInsertedRowID)
        do {
            try run(
                db,
                """
                INSERT INTO request
                    (seq, id, state, method, body, reply_queue, message_id, accepted_at, expires_at)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                """,
                [
                    entry.number.databaseValue, request.uniqueID.databaseValue,
                    (started ? JournalSchema.State.running : JournalSchema.State.accepted).databaseValue,
                    request.method.databaseValue, Data(request.body).databaseValue,
                    request.replyQueue.databaseValue, request.messageID.databaseValue,
                    request.acceptedAt.databaseValue, request.expiresAt.databaseValue,
                ]
            )
        } catch {
            // Without its request the id must not be remembered, or the redelivery would be dropped.
            if db.isInsideTransaction {
                try run(db, "DELETE FROM remembered WHERE seq = ?", [entry.number.databaseValue])
            }
            throw error
        }
        return .accepted(entry)
    }

    private static func finish(
        _ entry: EntryID,
        _ outcome: RequestOutcome,
        _ reply: OwedReply?,
        in db: Database
    ) throws {
        guard let reply else {
            try run(db, "DELETE FROM request WHERE seq = ?", [entry.number.databaseValue])
            return
        }
        try run(
            db,
            "UPDATE request SET state = 2, body = NULL, outcome = ?, reply_queue = ?, reply = ? WHERE seq = ?",
            [
                outcome.text.databaseValue, reply.queue.databaseValue, Data(reply.body).databaseValue,
                entry.number.databaseValue,
            ]
        )
    }

    private static func load(_ entry: EntryID, in db: Database) throws -> AcceptedRequest? {
        try Row.fetchOne(db, sql: "SELECT * FROM request WHERE seq = ? AND state < 2", arguments: [entry.number])
            .map(request(from:))
    }

    private static func unfinished(after: Int64, limit: Int, in db: Database) throws -> [UnfinishedRequest] {
        let sql = "SELECT * FROM request WHERE seq > ? AND state < 2 ORDER BY seq LIMIT ?"
        return try Row.fetchAll(db, sql: sql, arguments: [after, limit]).map { row in
            UnfinishedRequest(
                entry: EntryID(number: row["seq"]),
                request: request(from: row),
                started: row["state"] == JournalSchema.State.running
            )
        }
    }

    private static func owed(after: Int64, limit: Int, in db: Database) throws -> [OwedEntry] {
        let sql = """
            SELECT seq, reply_queue, reply, accepted_at FROM request
                WHERE seq > ? AND state = 2 AND reply IS NOT NULL ORDER BY seq LIMIT ?
            """
        return try Row.fetchAll(db, sql: sql, arguments: [after, limit]).map { row in
            let body: Data = row["reply"]
            return OwedEntry(
                entry: EntryID(number: row["seq"]),
                reply: OwedReply(queue: row["reply_queue"], body: [UInt8](body)),
                acceptedAt: row["accepted_at"]
            )
        }
    }

    private static func request(from row: Row) -> AcceptedRequest {
        let body: Data? = row["body"]
        return AcceptedRequest(
            uniqueID: row["id"],
            method: row["method"],
            body: body.map { [UInt8]($0) } ?? [],
            replyQueue: row["reply_queue"],
            messageID: row["message_id"],
            acceptedAt: row["accepted_at"],
            expiresAt: row["expires_at"]
        )
    }

    private static func run(_ db: Database, _ sql: String, _ values: [DatabaseValue]) throws {
        try db.cachedStatement(sql: sql).execute(arguments: StatementArguments(values))
    }

    /// The usual 32 hex digits as 16 bytes, which halves the table that remembers; any other id as its text.
    static func key(_ uniqueID: String) -> DatabaseValue {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(16)
        var half: UInt8?
        for digit in uniqueID.utf8 {
            let value: UInt8
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = digit - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = digit - UInt8(ascii: "a") + 10
            default: return uniqueID.databaseValue
            }
            if let high = half {
                bytes.append(high << 4 | value)
                half = nil
            } else {
                half = value
            }
        }
        guard half == nil, bytes.count == 16 else { return uniqueID.databaseValue }
        return Data(bytes).databaseValue
    }
}

extension RequestOutcome {
    var text: String {
        switch self {
        case .succeeded: "succeeded"
        case .failed(let name): name
        case .expired: "expired"
        }
    }
}
