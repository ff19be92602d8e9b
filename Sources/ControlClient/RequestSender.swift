package import OsloMessaging
package import RPCClient
package import Support

/// What commands need of an RPC client; tests answer in its place.
package protocol RequestSender: Sendable {
    /// - Throws: `RemoteFailure`, `RPCClientError`, `CancellationError`.
    func call(
        _ target: RPCTarget,
        _ method: String,
        _ args: JSONObject,
        timeout: Duration,
        monitorTimeout: Duration?
    ) async throws -> JSONValue

    func cast(_ target: RPCTarget, _ method: String, _ args: JSONObject) async throws

    /// - Parameter quiet: see `RPCClient.gather`.
    func gather(
        _ target: RPCTarget,
        _ method: String,
        _ args: JSONObject,
        deadline: Duration,
        quiet: Duration?
    ) async throws -> [GatheredReply]
}

/// An administrator's requests through a real client. Requests for hosts that do not exist fail at once.
package struct OperatorRequests: RequestSender {
    private let client: RPCClient

    package init(_ client: RPCClient) { self.client = client }

    package func call(
        _ target: RPCTarget,
        _ method: String,
        _ args: JSONObject,
        timeout: Duration,
        monitorTimeout: Duration?
    ) async throws -> JSONValue {
        try await client.call(
            target,
            method,
            args,
            context: Self.context(),
            timeout: timeout,
            monitorTimeout: monitorTimeout,
            mandatory: true
        )
    }

    package func cast(_ target: RPCTarget, _ method: String, _ args: JSONObject) async throws {
        try await client.cast(target, method, args, context: Self.context(), mandatory: !target.fanout)
    }

    package func gather(
        _ target: RPCTarget,
        _ method: String,
        _ args: JSONObject,
        deadline: Duration,
        quiet: Duration?
    ) async throws -> [GatheredReply] {
        try await client.gather(target, method, args, context: Self.context(), deadline: deadline, quiet: quiet)
    }

    /// What Nova's servers want to see (oslo.messaging wire, section 17).
    private static func context() -> JSONObject {
        [
            "request_id": .string("req-\(UniqueID.makeDashed())"),
            "is_admin": true,
            "roles": ["admin"],
            "read_deleted": "no",
            "timestamp": .string(WireTime.now().context),
        ]
    }
}
