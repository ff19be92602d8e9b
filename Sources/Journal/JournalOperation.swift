/// One thing to be done in the next transaction, and who waits for it.
struct JournalOperation: Sendable {
    enum Kind: Sendable {
        case accept(AcceptedRequest, started: Bool)
        case started(EntryID)
        case finish(EntryID, RequestOutcome, OwedReply?)
        case delivered(EntryID)
        case save(uuid: String, text: String)
        case remove(uuid: String)
        case load(EntryID)
        case unfinished(after: Int64, limit: Int)
        case owed(after: Int64, limit: Int)
        case records
        /// Closes the file after everything before it; always the last operation.
        case close
    }

    enum Value: Sendable {
        case done
        case acceptance(Acceptance)
        case request(AcceptedRequest?)
        case unfinished([UnfinishedRequest])
        case owed([OwedEntry])
        case records([String])
    }

    let kind: Kind
    let completion: @Sendable (Result<Value, any Error>) -> Void

    /// Whether it may wait for company instead of causing a commit of its own.
    var isLazy: Bool {
        if case .delivered = kind { true } else { false }
    }

    /// Whether it leaves the body of an ended request behind in the write-ahead log.
    var endsRequest: Bool {
        if case .finish = kind { true } else { false }
    }

    var isClose: Bool {
        if case .close = kind { true } else { false }
    }

    /// Whether it needs no transaction.
    var isRead: Bool {
        switch kind {
        case .load, .unfinished, .owed, .records: true
        default: false
        }
    }
}
