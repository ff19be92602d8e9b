package import Support

/// One method that callers may run.
package struct RemoteMethod: Sendable {
    /// How the method runs, which decides where and when it is acknowledged.
    package enum Handler: Sendable {
        /// Cheap, never waits: runs on the connection's thread.
        case inline(@Sendable (RPCRequest) throws -> JSONValue)
        /// Changes nothing, and mostly knows its answer at once: the first body runs on the connection's thread; when it
        /// gives `nil`, the second runs like ``read(_:)``.
        case immediate(
            @Sendable (RPCRequest) throws -> JSONValue?,
            waiting: @Sendable (RPCRequest) async throws -> JSONValue
        )
        /// Changes nothing, may wait (file I/O, backend).
        case read(@Sendable (RPCRequest) async throws -> JSONValue)
        /// Changes something: accepted durably before it runs.
        case mutating(@Sendable (RPCRequest) async throws -> JSONValue)
    }

    package var name: String
    package var handler: Handler
    /// Names of arguments that no log may show.
    package var hiddenArguments: Set<String>

    package init(_ name: String, hiddenArguments: Set<String> = [], _ handler: Handler) {
        self.name = name
        self.hiddenArguments = hiddenArguments
        self.handler = handler
    }
}

/// A set of methods under one namespace and version (oslo.messaging wire, section 10).
package protocol RPCEndpoint: Sendable {
    /// `nil` matches only requests without a namespace.
    var namespace: String? { get }
    /// Further namespaces the endpoint answers to.
    var legacyNamespaces: [String?] { get }
    /// The version implemented, `"major.minor"`.
    var version: String { get }
    /// The method of that name, if there is one. Names that begin with `_` are never asked for.
    func method(named name: String) -> RemoteMethod?
}

extension RPCEndpoint {
    package var legacyNamespaces: [String?] { [] }
}

/// The extra endpoint of `rpc_ping_enabled` (oslo.messaging wire, section 10).
package struct PingEndpoint: RPCEndpoint {
    package static let methodName = "oslo_rpc_server_ping"

    package let namespace: String? = nil
    package let version = "1.0"
    private let ping = RemoteMethod(methodName, .inline { _ in "pong" })

    package init() {}

    package func method(named name: String) -> RemoteMethod? { name == Self.methodName ? ping : nil }
}
