import AMQPModel
import NovaCompute
import OsloMessaging
import RPCClient
import Support

import struct Configuration.Settings

/// Calls to the services of Nova's control plane, over the connection of ``HostCalls``.
struct NovaCalls: NovaCaller {
    private let calls: HostCalls
    private let exchange: String
    private let topics: [NovaTopic: String]

    init(_ calls: HostCalls, _ settings: Settings) {
        self.calls = calls
        exchange = settings.messaging.controlExchange
        let compute = settings.messaging.computeTopic
        topics = [
            .conductor: settings.nova.conductorTopic, .compute: compute,
            .computeAlt: settings.messaging.computeAltTopic ?? compute,
        ]
    }

    private func target(_ topic: NovaTopic, _ server: String?, _ version: String) -> RPCTarget {
        RPCTarget(exchange: exchange, topic: topics[topic] ?? "", server: server, version: version)
    }

    func call(
        _ topic: NovaTopic,
        server: String?,
        namespace: String?,
        _ method: String,
        version: String,
        _ args: JSONObject,
        context: JSONObject,
        timeout: Duration,
        monitorTimeout: Duration?
    ) async throws -> JSONValue {
        var target = target(topic, server, version)
        target.namespace = namespace
        return try await untilClosed { [target] in
            try await calls.connected.call(
                target,
                method,
                args,
                context: context,
                timeout: timeout,
                monitorTimeout: monitorTimeout,
                mandatory: true
            )
        }
    }

    func cast(
        _ topic: NovaTopic,
        server: String?,
        namespace: String?,
        _ method: String,
        version: String,
        _ args: JSONObject,
        context: JSONObject
    ) async throws {
        var target = target(topic, server, version)
        target.namespace = namespace
        try await untilClosed { [target] in
            try await calls.connected.cast(target, method, args, context: context)
        }
    }

    /// A connection that this process has closed for good, at its end, is nothing to be patient with.
    private func untilClosed<Value: Sendable>(_ body: () async throws -> Value) async throws -> Value {
        do {
            return try await body()
        } catch let error as RPCClientError where error.code == .closed {
            throw CancellationError()
        }
    }
}
