import AMQPModel
import ComputeRPC
import Logging
import OsloMessaging
import RPCClient
import Support
import Synchronization
import VMOps

import struct Configuration.Settings

/// Calls from this process's hosts to those of others. It connects when there is the first to make.
final class HostCalls: HostCaller {
    private struct State {
        var wanted = false
        var waiter: CheckedContinuation<Void, Never>?
        var ended = false
    }

    private let client: RPCClient
    private let exchange: String
    private let topic: String
    /// A host that is silent for so long is taken for dead.
    private let silence: Duration
    private let state = Mutex(State())

    init(_ settings: Settings, logger: Logger) throws {
        client = RPCClient(
            connection: try settings.connectionOptions(name: ProcessEnvironment.connectionName()),
            settings: RPCClientSettings(topology: settings.topologyOptions),
            logger: logger
        )
        exchange = settings.messaging.controlExchange
        topic = settings.messaging.computeTopic
        silence = settings.migration.peerTimeout
    }

    /// Runs until ``close()`` or cancellation.
    func run() async throws {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let goesOn = state.withLock { state in
                    if state.wanted || state.ended { return true }
                    state.waiter = continuation
                    return false
                }
                if goesOn { continuation.resume() }
            }
        } onCancel: {
            end()
        }
        if state.withLock({ $0.ended }) { return }
        try await client.run()
    }

    func close() async {
        end()
        await client.close(draining: .zero)
    }

    /// The client; it connects if it has not yet.
    var connected: RPCClient {
        release { $0.wanted = true }
        return client
    }

    func call(_ method: String, _ args: JSONObject, on host: String, timeout: Duration) async throws -> JSONValue {
        try await connected.call(
            RPCTarget(exchange: exchange, topic: topic, server: host),
            method,
            args,
            timeout: timeout,
            monitorTimeout: silence,
            mandatory: true
        )
    }

    private func end() { release { $0.ended = true } }

    private func release(_ change: (inout State) -> Void) {
        let waiter = state.withLock { state in
            change(&state)
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }
}

/// The partners of live migrations: hosts of this process are reached directly, others by calls.
final class HostPeers: MigrationPeers {
    private let local = Mutex<[String: VMOps]>([:])
    private let calls: HostCalls

    init(_ calls: HostCalls) { self.calls = calls }

    func set(_ operations: [VMOps]) {
        local.withLock { $0 = Dictionary(uniqueKeysWithValues: operations.map { ($0.host, $0) }) }
    }

    func peer(_ host: String) throws -> any MigrationPeer {
        local.withLock { $0[host] } ?? RemotePeer(host: host, caller: calls)
    }
}
