package import Journal
package import OsloMessaging
package import Support

/// One host that a worker serves.
package struct ServedHost: Sendable {
    /// The server name of its queues.
    package var name: String
    package var endpoints: [any RPCEndpoint]
    /// Stays open for others; whoever made it closes it after the worker has ended.
    package var journal: Journal
    /// Asked about requests that a crash or restart interrupted; `nil` = each is reported as failed.
    package var recovery: (any RequestRecovery)?

    package init(
        name: String,
        endpoints: [any RPCEndpoint],
        journal: Journal,
        recovery: (any RequestRecovery)? = nil
    ) {
        self.name = name
        self.endpoints = endpoints
        self.journal = journal
        self.recovery = recovery
    }
}

/// Decides about a mutating request whose operation may have begun before the process ended.
///
/// Called once per such request after a start, before or while new requests are served, each in a task of its own and
/// within the admission limits. A crash during the call leads to another call at the next start. Requests that had
/// not begun are not asked about: they run as if they had just come.
package protocol RequestRecovery: Sendable {
    func recover(_ request: RPCRequest) async -> RecoveryDecision
}

package enum RecoveryDecision: Sendable {
    /// Nothing of it has an effect any more, or all of it can be done again: run the method.
    case run
    /// It was, or now is, carried to its end: this is the result.
    case finished(JSONValue)
    /// It was undone, or cannot be continued: this is what the caller is told.
    case failed(RemoteFailure)
}
