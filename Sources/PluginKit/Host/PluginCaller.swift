import HostBackend
import Support

/// Whatever carries requests to a plugin: a connection, or a process for each request.
protocol PluginCaller: Sendable {
    /// The plugin's `hello`.
    var hello: PluginHello { get }

    /// Sends a request and waits for its result. Cancelling the task cancels the request, and waits for its answer.
    ///
    /// - Throws: `BackendError` with the plugin's code; `CheckFailure` when there is no answer or it is not one.
    func call(_ method: String, _ params: JSONObject, deadline: Duration) async throws -> JSONObject

    /// The same, with the reports of progress as they come, all before it returns.
    func call(
        _ method: String,
        _ params: JSONObject,
        deadline: Duration,
        progress: @escaping @Sendable (JSONObject) async throws -> Void
    ) async throws -> JSONObject

    /// The machines' events from now on; ends at once where there are none.
    func events() -> AsyncStream<MachineEvent>

    /// The stream that `console.open` has named.
    func stream(_ id: Int64) -> any ConsoleStream
}

/// What a plugin says of itself (plugin protocol, section 3).
package struct PluginHello: Sendable {
    package let name: String
    package let version: String
    let hostID: String
    let capabilities: HostCapabilities
    let maximumFrame: Int
    let maximumParallel: Int
    let hasRemoteFiles: Bool

    init(_ hello: JSONObject) {
        let limits = hello["limits"]
        let names = hello["capabilities"]
        func texts(_ member: String) -> [String] { names?[member]?.arrayValue?.compactMap(\.stringValue) ?? [] }
        name = hello["plugin"]?["name"]?.stringValue ?? ""
        version = hello["plugin"]?["version"]?.stringValue ?? ""
        hostID = hello["host"]?["id"]?.stringValue ?? ""
        capabilities = HostCapabilities(
            flags: Set(texts("flags").map { Capability(rawValue: $0) }),
            diskFormats: texts("disk_formats"),
            volumeTypes: Set(texts("volume_types")),
            networkTypes: Set(texts("network_types"))
        )
        maximumFrame = Int(clamping: limits?["max_frame"]?.intValue ?? 1 << 20)
        maximumParallel = Int(clamping: limits?["max_parallel"]?.intValue ?? 8)
        hasRemoteFiles = hello["remote_files"]?.boolValue ?? false
    }
}
