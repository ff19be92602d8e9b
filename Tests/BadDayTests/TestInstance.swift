import Support
import TestSupport

/// An instance that a test makes.
struct TestInstance: Sendable, Hashable {
    let uuid: String
    let name: String
    let host: String

    init(_ name: String = "vm", on host: String = "host-a") {
        uuid = UniqueID.makeDashed()
        self.name = name
        self.host = host
    }

    /// As an argument that names it.
    var reference: JSONObject { ["instance": ["uuid": .string(uuid), "name": .string(name)]] }

    /// As the argument of spawn.
    var description: JSONValue {
        [
            "uuid": .string(uuid), "name": .string(name), "memory_mb": 64, "vcpus": 1, "root_gb": 1,
        ]
    }
}

extension Bench {
    @discardableResult
    func spawn(_ instance: TestInstance) async throws -> JSONValue {
        try await call("spawn", ["instance": instance.description], on: instance.host)
    }

    func state(_ instance: TestInstance) async throws -> String? {
        try await call("get_info", instance.reference, on: instance.host)["state"]?.stringValue
    }

    /// The log lines of finished operations that carry a request id.
    func operationLines(_ requestID: String) -> [String] {
        daemon.logLines.filter { $0.contains(" operation") && $0.contains("request_id=\(requestID)") }
    }
}
