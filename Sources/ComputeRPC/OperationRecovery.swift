package import OsloMessaging
package import Support
package import VMOps

/// Decides about a request whose operation may have begun before the worker ended.
///
/// What a crash leaves half made is undone or adopted before requests are looked at, and every operation but a
/// reboot of a running machine comes to the same end when it is run again: state changes reach a state that is
/// reached already, a destroy finds nothing, a spawn that was complete knows its request. So they are run again.
/// Whether a reboot had happened cannot be told from the state; repeating it would reset the guest twice, so its
/// caller is told that the outcome is unknown unless the machine runs, which is what a reboot promises. A migration whose
/// machine has left was finished by the recovery of the hosts if the other host has the instance.
package struct OperationRecovery: Sendable {
    package enum Decision: Sendable {
        case run
        case finished(JSONValue)
        case failed(RemoteFailure)
    }

    /// Those after which the instance may be elsewhere.
    private static let moves: Set<String> = ["live_migration", "resize_instance", "revert_resize"]

    let operations: VMOps

    package init(operations: VMOps) { self.operations = operations }

    /// The instance at the destination of a migration, if it is there.
    private func moved(_ request: RPCRequest) async -> InstanceInfo? {
        let parameters = request.args.map { Parameter.optional($0.key) }
        guard let arguments = try? Arguments(request, parameters),
            let uuid = try? InstanceArgument(arguments).uuid()
        else { return nil }
        if request.method == "revert_resize" { return await operations.reverted(uuid) }
        guard let destination = try? arguments.requiredString("dest") else { return nil }
        return await operations.migrated(uuid, to: destination)
    }

    package func decide(_ request: RPCRequest) async -> Decision {
        guard request.method == "reboot" || Self.moves.contains(request.method) else { return .run }
        do {
            let parameters = request.args.map { Parameter.optional($0.key) }
            let uuid = try InstanceArgument(Arguments(request, parameters)).resolve(operations)
            let info = try await operations.info(uuid)
            if request.method == "reboot", info.state == "running" { return .finished(Results.info(info)) }
            return .run
        } catch let error as OperationError where error.code == .instanceNotFound {
            guard Self.moves.contains(request.method) else { return .run }
            return await moved(request).map { .finished(Results.info($0)) } ?? .failed(RemoteFailure(error))
        } catch {
            return .run
        }
    }
}
