import HostBackend
import PluginProtocol
import Processes
import Support

/// One life of a plugin, of whatever shape.
protocol PluginLink: Sendable {
    var hello: PluginHello { get }

    /// `nil` for a plugin that has none.
    var events: AsyncStream<PluginEvent>? { get }

    /// Requests without an answer.
    var requests: Int { get }

    func request(
        _ method: PluginMethod,
        _ params: JSONObject,
        deadline: Duration?,
        key: String?,
        progress: AsyncStream<JSONObject>.Continuation?
    ) async throws(PluginError) -> JSONObject

    func openConsole(_ uuid: InstanceUUID, from offset: UInt64?) async throws(PluginError) -> PluginConsole

    /// Waits for the end.
    ///
    /// - Returns: why.
    func waitForEnd() async -> PluginError

    /// Ends it and what belongs to it, whatever state it is in.
    ///
    /// - Parameter reason: what a plugin is told that can still hear it; `nil` = nothing.
    func end(reason: String?) async
}

/// A child or a service, over a connection.
struct ConnectionLink: PluginLink {
    let connection: PluginConnection
    let child: PluginChild?

    var hello: PluginHello { connection.hello }
    var events: AsyncStream<PluginEvent>? { connection.events }
    var requests: Int { connection.load.running + connection.load.waiting }

    func request(
        _ method: PluginMethod,
        _ params: JSONObject,
        deadline: Duration?,
        key: String?,
        progress: AsyncStream<JSONObject>.Continuation?
    ) async throws(PluginError) -> JSONObject {
        try await connection.request(method, params, deadline: deadline, key: key, progress: progress)
    }

    func openConsole(_ uuid: InstanceUUID, from offset: UInt64?) async throws(PluginError) -> PluginConsole {
        try await connection.openConsole(uuid, from: offset)
    }

    func waitForEnd() async -> PluginError {
        let error = await connection.waitForEnd()
        guard let child, error.code == .closed else { return error }
        // Its own end says more than that of its output.
        switch await child.end() {
        case .exited(let status): return PluginError(.closed, "the plugin ended with status \(status)")
        case .signalled(let number): return PluginError(.closed, "the plugin was ended by signal \(number)")
        case .unknown, .waitCancelled: return error
        }
    }

    func end(reason: String?) async {
        if let reason { connection.sayGoodbye(reason) }
        connection.close(reason: reason ?? "the plugin is ended")
        await child?.end(patience: reason == nil ? .zero : PluginChild.patience)
    }
}
