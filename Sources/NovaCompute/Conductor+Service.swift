import NovaObjects
import OsloMessaging
import Support

/// The records that make a host a compute service (Nova's compute RPC, sections 4.2 and 6).
extension Conductor {
    private static let binary = "nova-compute"
    private static let topic = "compute"
    /// An answer comes at once or not at all.
    private static let pingTimeout = Duration.seconds(10)

    /// Returns when a conductor answers.
    package func ping() async throws {
        _ = try await caller.call(
            .conductor,
            server: nil,
            namespace: "baseapi",
            "ping",
            version: "1.0",
            ["arg": "vmops"],
            context: [:],
            timeout: min(Self.pingTimeout, settings.responseTimeout),
            monitorTimeout: nil
        )
    }

    // MARK: - The service

    /// The host's service; `nil` when it has none yet.
    func service(_ host: String, context: JSONObject) async throws -> NovaObject? {
        try optional(
            try await actOnClass(
                "Service",
                "get_by_host_and_binary",
                [],
                ["host": .string(host), "binary": .string(Self.binary)],
                context: context
            )
        )
    }

    /// - Returns: the new record.
    func createService(_ host: String, context: JSONObject) async throws -> NovaObject {
        let object = settings.versions.make(
            "Service",
            [
                "host": .string(host), "binary": .string(Self.binary), "topic": .string(Self.topic),
                "report_count": 0, "version": .int(Int64(settings.serviceVersion)),
            ]
        )
        return try await created(object, context)
    }

    /// Writes the number of this sign of life. One attempt: the next is due soon.
    func heartbeat(_ service: NovaObject, count: Int64, context: JSONObject) async throws {
        let object = settings.versions.change(
            "Service",
            identity: ["id": service["id"] ?? .null, "binary": .string(Self.binary)],
            ["report_count": .int(count), "version": .int(Int64(settings.serviceVersion))]
        )
        _ = try await actOnce("save", on: object, context: context)
    }

    // MARK: - The compute node

    /// The node of that identifier; `nil` when there is none.
    func computeNode(uuid: String, context: JSONObject) async throws -> NovaObject? {
        try await node("get_by_uuid", ["compute_uuid": .string(uuid)], context)
    }

    /// The node of that host and name; `nil` when there is none.
    func computeNode(host: String, context: JSONObject) async throws -> NovaObject? {
        try await node("get_by_host_and_nodename", ["host": .string(host), "nodename": .string(host)], context)
    }

    private func node(_ method: String, _ kwargs: JSONObject, _ context: JSONObject) async throws -> NovaObject? {
        do {
            return try optional(try await actOnClass("ComputeNode", method, [], kwargs, context: context))
        } catch let failure as RemoteFailure where failure.className == "ComputeHostNotFound" {
            return nil
        }
    }

    /// - Returns: the new record.
    func createNode(_ fields: JSONObject, context: JSONObject) async throws -> NovaObject {
        try await created(settings.versions.make("ComputeNode", fields), context)
    }

    /// One attempt: what has changed since is written with the next.
    func saveNode(_ node: NovaObject, _ changes: JSONObject, context: JSONObject) async throws {
        let object = settings.versions.change("ComputeNode", identity: ["id": node["id"] ?? .null], changes)
        _ = try await actOnce("save", on: object, context: context)
    }

    // MARK: - Instances

    /// The instances that the database has on a host.
    func instances(on host: String, context: JSONObject) async throws -> [NovaInstance] {
        let list = try NovaObject(
            try await actOnClass(
                "InstanceList",
                "get_by_host",
                [],
                ["host": .string(host), "expected_attrs": .array([])],
                context: context
            )
        )
        var instances: [NovaInstance] = []
        for object in try list.objects() { instances.append(try NovaInstance(object)) }
        return instances
    }

    private func optional(_ value: JSONValue) throws -> NovaObject? { value.isNull ? nil : try NovaObject(value) }

    private func created(_ object: NovaObject, _ context: JSONObject) async throws -> NovaObject {
        let (updates, _) = try await act("create", on: object, context: context)
        var object = object
        for update in updates { object.data[update.key] = update.value }
        object.changes = []
        return object
    }
}
