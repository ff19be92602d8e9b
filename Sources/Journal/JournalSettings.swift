/// Limits of a journal.
package struct JournalSettings: Sendable {
    /// How long the id of an accepted request is remembered, so that a redelivery is recognised. The size limit may
    /// shorten it under a flood.
    package var rememberFor: Duration
    /// Bytes of the database file. Near it the oldest remembered ids are forgotten early; when unfinished requests
    /// and owed replies alone reach it, requests are refused with ``JournalError/Code/full``.
    package var sizeLimit: Int64
    /// Pages in the write-ahead log that start a checkpoint.
    package var checkpointPages: Int
    /// Time between two rounds of ageing, which run after a commit.
    package var ageingInterval: Duration
    /// Operations that may wait for a commit; further ones fail with ``JournalError/Code/busy``.
    package var pendingLimit: Int

    package init(
        rememberFor: Duration = .seconds(86_400),
        sizeLimit: Int64 = 1 << 30,
        checkpointPages: Int = 1_000,
        ageingInterval: Duration = .seconds(60),
        pendingLimit: Int = 65_536
    ) {
        self.rememberFor = rememberFor
        self.sizeLimit = sizeLimit
        self.checkpointPages = checkpointPages
        self.ageingInterval = ageingInterval
        self.pendingLimit = pendingLimit
    }
}
