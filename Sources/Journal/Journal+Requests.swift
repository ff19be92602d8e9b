extension Journal {
    /// Makes a request durable, unless its id is known. Returns at once: the completion is called on a committer thread
    /// after the commit, with a ``JournalError`` when the request is not durable.
    ///
    /// - Parameter started: the operation begins as soon as the request is accepted; saves the commit of
    ///   ``started(_:)``.
    package func accept(
        _ request: AcceptedRequest,
        started: Bool = false,
        completion: @escaping @Sendable (Result<Acceptance, any Error>) -> Void
    ) {
        submit(.accept(request, started: started)) { result in
            completion(
                result.flatMap { value in
                    if case .acceptance(let acceptance) = value { return .success(acceptance) }
                    return .failure(JournalError(.storage, "journal gave no answer"))
                }
            )
        }
    }

    package func accept(_ request: AcceptedRequest, started: Bool = false) async throws -> Acceptance {
        try await withCheckedThrowingContinuation { continuation in
            accept(request, started: started) { continuation.resume(with: $0) }
        }
    }

    /// Notes that the request's operation is about to begin; returns when that is durable.
    package func started(_ entry: EntryID) async throws {
        _ = try await perform(.started(entry))
    }

    /// Notes the end of a request and the reply that is owed for it. Without a reply the entry is gone afterwards; its
    /// id stays remembered.
    package func finish(_ entry: EntryID, outcome: RequestOutcome, reply: OwedReply?) async throws {
        _ = try await perform(.finish(entry, outcome, reply))
    }

    /// The same without suspending; the completion runs on a committer thread.
    package func finish(
        _ entry: EntryID,
        outcome: RequestOutcome,
        reply: OwedReply?,
        completion: @escaping @Sendable (Result<Void, any Error>) -> Void
    ) {
        submit(.finish(entry, outcome, reply)) { result in completion(result.map { _ in }) }
    }

    /// Notes that the reply was confirmed, or given up. Written with the next commit, at most some 100 ms later; when a
    /// crash comes first, the reply is sent again, which callers ignore (oslo.messaging wire, section 11).
    /// What a failing disk does not take is written with the first operation after it.
    package func replyDelivered(_ entry: EntryID) { submit(delivered(entry)) }

    /// The request as it was accepted; `nil` when it has ended.
    package func request(_ entry: EntryID) async throws -> AcceptedRequest? {
        guard case .request(let request) = try await perform(.load(entry)) else { return nil }
        return request
    }

    /// Requests that were accepted and have not ended, oldest first: at most `limit`, those after `entry`.
    package func unfinished(after entry: EntryID? = nil, limit: Int = 1_000) async throws -> [UnfinishedRequest] {
        let value = try await perform(.unfinished(after: entry?.number ?? 0, limit: limit))
        guard case .unfinished(let requests) = value else { return [] }
        return requests
    }

    /// Replies that were not confirmed, oldest first: at most `limit`, those after `entry`.
    package func owedReplies(after entry: EntryID? = nil, limit: Int = 1_000) async throws -> [OwedEntry] {
        guard case .owed(let replies) = try await perform(.owed(after: entry?.number ?? 0, limit: limit)) else {
            return []
        }
        return replies
    }
}
