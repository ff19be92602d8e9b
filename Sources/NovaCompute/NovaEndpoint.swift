import HostBackend
package import Logging
import OpenStackAPI
package import OsloMessaging
import Support
package import VMOps

/// Nova's compute RPC as a compute service of its own answers it, without its libraries: version 6.x, no namespace.
///
/// Stands beside the project's own interface, which has version 1.x. A request of tiers that hosts have nothing for
/// fails with `NotImplementedError` and leaves no instance in a task state.
package struct NovaEndpoint: RPCEndpoint {
    private let methods: [String: RemoteMethod]
    private let allowedMethods: @Sendable () -> Set<String>
    let table: NovaMethods

    /// - Parameters:
    ///   - conductor: `nil`: nothing is saved anywhere; calls are answered all the same.
    ///   - caller: reaches other computes.
    ///   - cloud: the services beside the conductor; one value for all endpoints and services of a host.
    ///   - notifier: tells of operations by Nova's versioned notifications, if there is a conductor; `nil`: nobody does.
    ///   - allowedMethods: the only methods that callers may use; empty = all. Asked with each request.
    package init(
        operations: VMOps,
        conductor: Conductor?,
        caller: any NovaCaller,
        cloud: CloudServices = CloudServices(),
        settings: NovaSettings,
        allowedMethods: @escaping @Sendable () -> Set<String> = { [] },
        injectsPasswords: @escaping @Sendable () -> Bool,
        notifier: InstanceNotifier? = nil,
        logger: Logger
    ) {
        table = NovaMethods(
            operations: operations,
            conductor: conductor,
            caller: caller,
            cloud: cloud,
            settings: settings,
            injectsPasswords: injectsPasswords,
            notifier: notifier,
            logger: logger
        )
        operations.beforeReturn = Self.takingPorts(cloud.network, operations.host, logger)
        methods = Dictionary(uniqueKeysWithValues: table.all.map { ($0.name, $0) })
        self.allowedMethods = allowedMethods
    }

    /// A guest that comes back finds its ports bound to the host again.
    private static func takingPorts(
        _ network: NetworkClient?,
        _ host: String,
        _ logger: Logger
    ) -> (@Sendable (InstanceUUID) async -> Void)? {
        guard let network else { return nil }
        return { uuid in
            do {
                try await network.bindPorts(of: uuid.text, to: host)
            } catch {
                // Tried again when the control plane has heard of it.
                logger.warning("ports not bound yet", metadata: ["instance": "\(uuid)", "error": "\(error)"])
            }
        }
    }

    package var namespace: String? { nil }
    package var version: String { "6.5" }

    package func method(named name: String) -> RemoteMethod? {
        let allowed = allowedMethods()
        return allowed.isEmpty || allowed.contains(name) ? methods[name] : nil
    }

    /// The names of all methods.
    package var methodNames: [String] { methods.keys.sorted() }
}

/// What every service of a control plane answers, under namespace `baseapi` (Nova's compute RPC, section 1.3).
package struct BaseAPIEndpoint: RPCEndpoint {
    package let namespace: String? = "baseapi"
    package let version = "1.1"
    private let service: String

    /// - Parameter service: the name that `ping` answers.
    package init(service: String = "compute") { self.service = service }

    package func method(named name: String) -> RemoteMethod? {
        switch name {
        case "ping":
            RemoteMethod(
                name,
                .inline { [service] request in
                    ["service": .string(service), "arg": request.args["arg"] ?? .null]
                }
            )
        case "get_backdoor_port": RemoteMethod(name, .inline { _ in .null })
        default: nil
        }
    }
}
