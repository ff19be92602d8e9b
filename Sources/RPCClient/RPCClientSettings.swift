package import OsloMessaging

/// How an ``RPCClient`` behaves, beside where it connects to.
package struct RPCClientSettings: Sendable {
    package var topology: TopologyOptions
    /// `rpc_response_timeout`: for calls that name no timeout of their own.
    package var responseTimeout: Duration
    /// The most requests that may wait for answers; further ones are refused.
    package var maximumWaiting: Int
    /// The most replies that one gathering takes; the rest is dropped.
    package var maximumGathered: Int
    /// Replies above this size are discarded, requests refused.
    package var maximumMessageBytes: Int
    /// Leave the reply queue to its expiry when the client is closed, as Python does. Otherwise it is deleted unless an
    /// answer is still owed, because a server may try long to deliver one.
    package var keepsReplyQueue: Bool

    package init(
        topology: TopologyOptions = TopologyOptions(),
        responseTimeout: Duration = .seconds(60),
        maximumWaiting: Int = 10_000,
        maximumGathered: Int = 10_000,
        maximumMessageBytes: Int = 64 << 20,
        keepsReplyQueue: Bool = false
    ) {
        self.topology = topology
        self.responseTimeout = responseTimeout
        self.maximumWaiting = maximumWaiting
        self.maximumGathered = maximumGathered
        self.maximumMessageBytes = maximumMessageBytes
        self.keepsReplyQueue = keepsReplyQueue
    }
}
