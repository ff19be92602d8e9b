/// Chooses the method that a request runs (oslo.messaging wire, section 10).
///
/// An immutable value: usable from any thread.
package struct RPCDispatcher: Sendable {
    private struct Entry: Sendable {
        let endpoint: any RPCEndpoint
        let namespaces: [String?]
        let version: String

        func has(_ namespace: String?) -> Bool {
            for own in namespaces where own == namespace { return true }
            return false
        }
    }

    private let entries: [Entry]

    /// - Parameter endpoints: asked in this order.
    package init(endpoints: [any RPCEndpoint]) {
        entries = endpoints.map { endpoint in
            Entry(
                endpoint: endpoint,
                namespaces: [endpoint.namespace] + endpoint.legacyNamespaces,
                version: endpoint.version
            )
        }
    }

    /// The method of the first endpoint with the request's namespace, a compatible version and that name; else the
    /// failure that Python sends.
    package func resolve(_ request: RPCRequest) -> Result<RemoteMethod, RemoteFailure> {
        let version = request.effectiveVersion
        let hidden = request.method.utf8.first == UInt8(ascii: "_")
        var found = false
        do {
            for entry in entries where entry.has(request.namespace) {
                guard try VersionRules.check(implemented: entry.version, requested: version) else { continue }
                if !hidden, let method = entry.endpoint.method(named: request.method) { return .success(method) }
                found = true
            }
        } catch {
            return .failure(error)
        }
        return .failure(
            found ? .noSuchMethod(request.method) : .unsupportedVersion(version, method: request.method)
        )
    }
}
