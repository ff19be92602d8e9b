import Logging
import NovaCompute
import VMOps

import struct Configuration.Settings

/// What makes hosts compute services of Nova's.
struct NovaParts: Sendable {
    private let caller: NovaCalls
    private let settings: NovaSettings
    private let hasConductor: Bool

    /// `nil` unless the settings ask for it.
    init?(_ settings: Settings, _ calls: HostCalls) {
        guard settings.nova.computeAPI else { return nil }
        caller = NovaCalls(calls, settings)
        self.settings = NovaSettings(settings)
        hasConductor = settings.nova.conductor == .rpc
    }

    func conductor(_ logger: Logger) -> Conductor? {
        hasConductor ? Conductor(caller: caller, settings: settings, logger: logger) : nil
    }

    func endpoint(
        _ operations: VMOps,
        allowedMethods: @escaping @Sendable () -> Set<String>,
        injectsPasswords: @escaping @Sendable () -> Bool,
        logger: Logger
    ) -> NovaEndpoint {
        NovaEndpoint(
            operations: operations,
            conductor: conductor(logger),
            caller: caller,
            settings: settings,
            allowedMethods: allowedMethods,
            injectsPasswords: injectsPasswords,
            logger: logger
        )
    }
}
