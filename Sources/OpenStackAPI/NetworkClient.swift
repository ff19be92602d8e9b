package import Logging
package import Support

/// The network service: ports of instances and their bindings to hosts (Nova's compute RPC, section 5.2).
package struct NetworkClient: Sendable {
    private static let ports = "/v2.0/ports"
    /// Characters that need no escaping in a query.
    private static let plain = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~".utf8)

    let service: CloudService
    let logger: Logger

    package init(_ service: CloudService, logger: Logger) {
        self.service = service
        self.logger = logger
    }

    // MARK: - Ports

    /// The ports that belong to an instance.
    package func ports(of instance: String) async throws(OpenStackError) -> [JSONObject] {
        try await list("ports", ["device_id": instance])
    }

    /// A port; `nil` when there is none of that identifier.
    package func port(_ id: String) async throws(OpenStackError) -> JSONObject? {
        let answer = try await service.send("GET", "\(Self.ports)/\(id)", accepting: [404])
        return answer.status == 404 ? nil : answer.body["port"]?.objectValue
    }

    /// Changes a port.
    ///
    /// - Returns: the port as it is then.
    package func update(_ id: String, _ changes: JSONObject) async throws(OpenStackError) -> JSONObject {
        let answer = try await service.send("PUT", "\(Self.ports)/\(id)", ["port": .object(changes)])
        return try Self.port(answer.body, service.name)
    }

    /// Makes a port for an instance. Never makes a second one because an answer got lost: after a doubtful answer the
    /// instance's ports are looked at again.
    ///
    /// - Parameters:
    ///   - wanted: with `network_id` and `device_id`.
    ///   - known: ports of the instance that are there for other reasons.
    package func create(_ wanted: JSONObject, besides known: Set<String>) async throws(OpenStackError) -> JSONObject {
        var pauses = Backoff(initial: service.settings.retryDelay, maximum: service.settings.longestDelay)
        for attempt in 0... {
            if let present = try await present(wanted, besides: known) { return present }
            let failure: OpenStackError
            do throws(OpenStackError) {
                let answer = try await service.send("POST", Self.ports, ["port": .object(wanted)])
                return try Self.port(answer.body, service.name)
            } catch {
                failure = error
            }
            guard failure.code == .unavailable, attempt < service.settings.statusRetries else { throw failure }
            logger.notice("port not created, looking again", metadata: ["reason": "\(failure)"])
            do {
                try await Task.sleep(for: pauses.next())
            } catch {
                throw OpenStackError(.cancelled, "the request was cancelled")
            }
        }
        throw OpenStackError(.unavailable, "\(service.name) creates no port")
    }

    /// What an earlier attempt has made.
    private func present(_ wanted: JSONObject, besides known: Set<String>) async throws(OpenStackError) -> JSONObject? {
        guard let instance = wanted["device_id"]?.stringValue else { return nil }
        return try await ports(of: instance).first { port in
            port["network_id"] == wanted["network_id"] && !known.contains(port["id"]?.stringValue ?? "")
        }
    }

    /// Removes a port; one that is gone is removed already.
    package func delete(_ id: String) async throws(OpenStackError) {
        _ = try await service.send("DELETE", "\(Self.ports)/\(id)", accepting: [404])
    }

    /// Gives a port back to its owner, bound nowhere.
    package func release(_ id: String) async throws(OpenStackError) {
        let nothing: JSONObject = ["device_id": "", "device_owner": "", "binding:host_id": .null]
        _ = try await service.send("PUT", "\(Self.ports)/\(id)", ["port": .object(nothing)], accepting: [404])
    }

    private static func port(_ body: JSONValue, _ name: String) throws(OpenStackError) -> JSONObject {
        guard let port = body["port"]?.objectValue, port["id"]?.stringValue != nil else {
            throw OpenStackError(.malformed, "\(name) answered with what is no port")
        }
        return port
    }

    // MARK: - Bindings

    /// Binds an instance's ports to a host, those that are not bound there yet.
    package func bindPorts(of instance: String, to host: String) async throws(OpenStackError) {
        for port in try await ports(of: instance) where port["binding:host_id"]?.stringValue != host {
            guard let id = port["id"]?.stringValue else { continue }
            _ = try await update(id, ["binding:host_id": .string(host)])
        }
    }

    /// Moves a port to another host, for which it has a binding already; one that is there already stays.
    package func activate(_ port: String, on host: String) async throws(OpenStackError) {
        let path = "\(Self.ports)/\(port)/bindings/\(Self.escaped(host))/activate"
        let answer = try await service.send("PUT", path, accepting: [404, 409])
        if answer.status == 409 || answer.status != 404 { return }
        // Nobody has prepared a binding, or the service knows of one only.
        _ = try await update(port, ["binding:host_id": .string(host)])
    }

    /// Removes a port's binding to a host that it is not active on.
    package func deleteBinding(_ port: String, of host: String) async throws(OpenStackError) {
        let path = "\(Self.ports)/\(port)/bindings/\(Self.escaped(host))"
        _ = try await service.send("DELETE", path, accepting: [404, 405, 409])
    }

    // MARK: - Everything else

    /// Things of a kind that have these attributes.
    ///
    /// - Parameter kind: as in the path: `networks`, `security-groups`.
    package func list(_ kind: String, _ query: KeyValuePairs<String, String>) async throws(OpenStackError)
        -> [JSONObject]
    {
        let words = query.map { "\($0.key)=\(Self.escaped($0.value))" }.joined(separator: "&")
        let path = "/v2.0/\(kind)" + (words.isEmpty ? "" : "?" + words)
        let body = try await service.send("GET", path).body
        let member = kind.split(separator: "-").joined(separator: "_")
        return body[member]?.arrayValue?.compactMap(\.objectValue) ?? []
    }

    /// A network; `nil` when there is none of that identifier.
    package func network(_ id: String) async throws(OpenStackError) -> JSONObject? {
        let answer = try await service.send("GET", "/v2.0/networks/\(id)", accepting: [404])
        return answer.status == 404 ? nil : answer.body["network"]?.objectValue
    }

    private static func escaped(_ text: String) -> String {
        var escaped = ""
        for byte in text.utf8 {
            if plain.contains(byte) {
                escaped.append(Character(Unicode.Scalar(byte)))
            } else {
                let digits = String(byte, radix: 16, uppercase: true)
                escaped += "%" + (digits.utf8.count == 1 ? "0" : "") + digits
            }
        }
        return escaped
    }
}
