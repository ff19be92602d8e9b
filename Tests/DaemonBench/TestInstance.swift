package import Support
import TestSupport

/// An instance that a test makes.
package struct TestInstance: Sendable, Hashable {
    package let uuid: String
    package let name: String
    package let host: String

    /// A new one, with an id of its own, that is not spawned yet.
    package init(_ name: String = "vm", on host: String = "host-a") {
        uuid = UniqueID.makeDashed()
        self.name = name
        self.host = host
    }

    /// As an argument that names it.
    package var reference: JSONObject { ["instance": ["uuid": .string(uuid), "name": .string(name)]] }

    /// As the argument of spawn.
    package var description: JSONValue {
        [
            "uuid": .string(uuid), "name": .string(name), "memory_mb": 64, "vcpus": 1, "root_gb": 1,
        ]
    }
}

extension Bench {
    /// Spawns the instance on its host.
    @discardableResult
    package func spawn(_ instance: TestInstance) async throws -> JSONValue {
        try await call("spawn", ["instance": instance.description], on: instance.host)
    }

    /// The state that `get_info` tells.
    package func state(_ instance: TestInstance) async throws -> String? {
        try await call("get_info", instance.reference, on: instance.host)["state"]?.stringValue
    }

    /// The log lines of finished operations that carry a request id.
    package func operationLines(_ requestID: String) -> [String] {
        daemon.logLines.filter { $0.contains(" operation") && $0.contains("request_id=\(requestID)") }
    }

    /// How many bytes of console output there are, from the beginning of the log.
    package func consoleEnd(_ instance: TestInstance) async throws -> Int64 {
        try await call("console_status", instance.reference, on: instance.host)["end_offset"]?.intValue ?? -1
    }
}
