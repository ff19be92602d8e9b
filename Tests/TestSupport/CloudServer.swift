import Foundation
import JSONCodec
package import Support

/// The services of a small cloud (`Tests/Peers/cloud_services.py`): keystone, placement, glance and neutron.
package struct CloudServer: Sendable {
    /// A request that it got.
    package struct Request: Sendable {
        package var method: String
        package var path: String
        package var status: Int
        package var body: JSONValue
    }

    private let process: LineProcess
    package let port: Int

    /// Runs the services while `body` runs.
    package static func run<Result: Sendable>(_ body: (CloudServer) async throws -> Result) async throws -> Result {
        try await LineProcess.run(
            Checkout.python,
            [Checkout.peers.appending(path: "cloud_services.py").path],
            environment: ["PYTHONDONTWRITEBYTECODE": "1"]
        ) { process in
            let hello = try JSONReader.read(Array(try await process.readLine().utf8))
            guard let port = hello["port"]?.intValue else { throw ConditionNotMet(description: "no port: \(hello)") }
            return try await body(CloudServer(process: process, port: Int(port)))
        }
    }

    package var address: String { "http://127.0.0.1:\(port)" }

    /// The identity service.
    package var authURL: String { address + "/identity" }

    /// A `nova.conf`'s groups for it.
    package var options: [String: [String: String]] {
        let user = [
            "auth_type": "password", "auth_url": authURL, "username": "nova", "password": "se/cr et",
            "user_domain_name": "Default", "project_name": "service", "project_domain_name": "Default",
        ]
        return [
            "keystone_authtoken": user.merging(["memcached_servers": "127.0.0.1:11211"]) { $1 },
            "placement": user.merging(["region_name": "RegionOne", "connect_retry_delay": "0.05"]) { $1 },
            "neutron": ["region_name": "RegionOne", "connect_retry_delay": "0.05"],
            "glance": ["region_name": "RegionOne", "connect_retry_delay": "0.05"],
        ]
    }

    /// Sends a command and waits for its answer.
    @discardableResult
    package func tell(_ what: String, _ fields: JSONObject = [:]) async throws -> JSONValue {
        var command = fields
        command["do"] = .string(what)
        let line = String(decoding: try JSONWriter.bytes(of: .object(command)), as: UTF8.self)
        return try JSONReader.read(Array(try await process.ask(line).utf8))
    }

    /// The requests so far.
    package func requests() async throws -> [Request] {
        let log = try await tell("log")["log"]?.arrayValue ?? []
        return log.map { entry in
            Request(
                method: entry["method"]?.stringValue ?? "",
                path: entry["path"]?.stringValue ?? "",
                status: Int(entry["status"]?.intValue ?? 0),
                body: entry["body"] ?? .null
            )
        }
    }

    /// How many requests of a method there were whose path begins so.
    package func count(_ method: String, _ path: String) async throws -> Int {
        try await requests().count { $0.method == method && $0.path.hasPrefix(path) }
    }

    /// What the services hold of a kind, by identifier.
    package func state(_ kind: String) async throws -> JSONObject {
        try await tell("state", ["kind": .string(kind)])["state"]?[kind]?.objectValue ?? [:]
    }

    /// The next requests fail so: `status` 0 does them and loses the answer, -1 never answers.
    package func fail(_ method: String, _ path: String, status: Int, count: Int = 1) async throws {
        try await tell(
            "fail",
            [
                "method": .string(method), "path": .string(path), "status": .int(Int64(status)),
                "count": .int(Int64(count)),
            ]
        )
    }

    package func put(_ kind: String, _ id: String, _ value: JSONValue) async throws {
        try await tell("put", ["kind": .string(kind), "id": .string(id), "value": value])
    }
}
