package import JSONCodec
package import OsloMessaging
import Support

/// How many mutating requests a process takes on.
package struct AdmissionLimits: Sendable, Hashable {
    /// Operations that run at the same time, in the process and on one host.
    package var running: Int
    package var runningPerHost: Int
    /// Requests that are durable in a journal and wait for their turn. Above it deliveries stay with the broker
    /// unacknowledged, and the prefetch limit holds further ones back.
    package var queued: Int
    /// Of the queued requests, so many are kept in memory; the others are read from the journal when they start.
    package var resident: Int

    package init(running: Int = 64, runningPerHost: Int = 64, queued: Int = 100_000, resident: Int = 1_000) {
        self.running = running
        self.runningPerHost = runningPerHost
        self.queued = queued
        self.resident = resident
    }
}

/// How replies to queues that are not there are treated (oslo.messaging wire, section 7).
package struct ReplySettings: Sendable, Hashable {
    /// Ask for the return of replies to missing queues (`direct_mandatory_flag`).
    package var mandatory: Bool
    /// Pause before a returned reply is sent again; at least ``TimerQueue/shortest``.
    package var retryPause: Duration
    /// How long a reply is tried (`kombu_missing_consumer_retry_timeout`); afterwards it is dropped and counted.
    package var retryTimeout: Duration
    /// Returned replies that may wait for their next attempt; above it the newest is dropped.
    package var waitingLimit: Int
    /// A queue that swallowed a reply is taken for gone so long, and so many such queues are remembered.
    package var obsoleteFor: Duration
    package var obsoleteLimit: Int

    package init(
        mandatory: Bool = true,
        retryPause: Duration = .milliseconds(250),
        retryTimeout: Duration = .seconds(60),
        waitingLimit: Int = 10_000,
        obsoleteFor: Duration = .seconds(60),
        obsoleteLimit: Int = 200
    ) {
        self.mandatory = mandatory
        self.retryPause = retryPause
        self.retryTimeout = retryTimeout
        self.waitingLimit = waitingLimit
        self.obsoleteFor = obsoleteFor
        self.obsoleteLimit = obsoleteLimit
    }
}

/// The options of an ``RPCWorker``.
package struct RPCWorkerSettings: Sendable {
    /// `control_exchange`
    package var exchange: String
    /// Every host serves all of them.
    package var topics: [String]
    package var topology: TopologyOptions
    /// Connections to the broker (pairs: one to consume, one to publish); the hosts are spread over them.
    package var sessions: Int
    /// Unsettled deliveries per consumer when `rabbit_qos_prefetch_count` is 0, which would mean no limit.
    package var prefetch: UInt16
    package var admission: AdmissionLimits
    /// Mutating methods that operations of other processes call while they have a place here or elsewhere. They are
    /// admitted apart, within limits of the same size, and must not wait for such methods themselves.
    package var partnerMethods: Set<String>
    /// Reads that run at the same time; as many more wait, further ones stay unacknowledged with the broker.
    package var reads: Int
    package var replies: ReplySettings
    /// Bodies above this size are rejected.
    package var maximumMessageBytes: Int
    package var decoding: JSONLimits
    /// What names of reply queues begin with; empty = anything. Whoever may send requests could otherwise have replies
    /// published to any queue of the broker, also to those that his own account may not write to.
    package var replyQueuePrefixes: [String]
    package var parser: JSONParser
    /// `_unique_id`s of reads that are remembered per host.
    package var duplicateCapacity: Int
    /// Answer `oslo_rpc_server_ping` (`rpc_ping_enabled`).
    package var ping: Bool
    /// How long a graceful shutdown waits for operations to end, before it cancels them.
    package var drainTimeout: Duration
    /// How long it waits for cancelled operations, and then for replies to be confirmed.
    package var closeTimeout: Duration
    /// Whence the names of fan-out queues come: the same seed, host and topic give the same queue.
    package var fanoutSeed: String

    package init(
        exchange: String = "nova",
        topics: [String] = ["compute", "compute-alt"],
        topology: TopologyOptions = TopologyOptions(),
        sessions: Int = 1,
        prefetch: UInt16 = 200,
        admission: AdmissionLimits = AdmissionLimits(),
        partnerMethods: Set<String> = [],
        reads: Int = 256,
        replies: ReplySettings = ReplySettings(),
        maximumMessageBytes: Int = 16 << 20,
        decoding: JSONLimits = JSONLimits(),
        replyQueuePrefixes: [String] = ["reply_"],
        parser: JSONParser = .jansson,
        duplicateCapacity: Int = 4096,
        ping: Bool = false,
        drainTimeout: Duration = .seconds(30),
        closeTimeout: Duration = .seconds(5),
        fanoutSeed: String = UniqueID.make()
    ) {
        self.exchange = exchange
        self.topics = topics
        self.topology = topology
        self.sessions = sessions
        self.prefetch = prefetch
        self.admission = admission
        self.partnerMethods = partnerMethods
        self.reads = reads
        self.replies = replies
        self.maximumMessageBytes = maximumMessageBytes
        self.decoding = decoding
        self.replyQueuePrefixes = replyQueuePrefixes
        self.parser = parser
        self.duplicateCapacity = duplicateCapacity
        self.ping = ping
        self.drainTimeout = drainTimeout
        self.closeTimeout = closeTimeout
        self.fanoutSeed = fanoutSeed
    }
}
