import HostBackend
package import OsloMessaging
import Support
package import VMOps

/// The project's own interface: driver-level methods with plain JSON arguments, version 1.x, no namespace.
package struct DriverEndpoint: RPCEndpoint {
    /// Facts about the process that `ping` answers with.
    package struct Identity: Sendable {
        package var host: String
        /// The kind of host backend: `simulated`, `qemu`, `plugin`.
        package var backend: String
        package var version: String

        package init(host: String, backend: String, version: String) {
            self.host = host
            self.backend = backend
            self.version = version
        }
    }

    let operations: VMOps
    let identity: Identity
    /// Whether the operator lets passwords reach the config drive.
    let injectsPasswords: @Sendable () -> Bool
    private let methods: [String: RemoteMethod]
    private let allowedMethods: @Sendable () -> Set<String>

    /// - Parameter allowedMethods: the only methods that callers may use; empty = all. Asked with each request.
    package init(
        operations: VMOps,
        identity: Identity,
        allowedMethods: @escaping @Sendable () -> Set<String> = { [] },
        injectsPasswords: @escaping @Sendable () -> Bool
    ) {
        self.operations = operations
        self.identity = identity
        self.injectsPasswords = injectsPasswords
        let driver = DriverMethods(operations: operations, identity: identity, injectsPasswords: injectsPasswords)
        self.allowedMethods = allowedMethods
        methods = Dictionary(uniqueKeysWithValues: driver.all.map { ($0.name, $0) })
    }

    package var namespace: String? { nil }
    package var version: String { "1.0" }
    package func method(named name: String) -> RemoteMethod? {
        let allowed = allowedMethods()
        return allowed.isEmpty || allowed.contains(name) ? methods[name] : nil
    }

    /// The names of all methods, for metrics and documentation.
    package var methodNames: [String] { methods.keys.sorted() }
}
