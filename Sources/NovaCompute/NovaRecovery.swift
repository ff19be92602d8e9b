package import ComputeRPC
import HostBackend
import NovaObjects
package import OsloMessaging
import Support
import VMOps

/// Decides about a request of Nova's whose operation may have begun before the worker ended; `OperationRecovery` has the
/// rules, here the control plane is told as well.
package struct NovaRecovery: Sendable {
    private let methods: NovaMethods

    package init(_ endpoint: NovaEndpoint) { methods = endpoint.table }

    /// Whether the request is one for ``NovaEndpoint``.
    package static func concerns(_ request: RPCRequest) -> Bool {
        request.namespace == nil && request.version?.hasPrefix("6.") == true
    }

    package func decide(_ request: RPCRequest) async -> OperationRecovery.Decision {
        do {
            let arguments = try NovaArguments(request, required: ["instance"])
            switch request.method {
            case "reboot_instance": return try await reboot(arguments)
            case "live_migration": return try await migration(arguments)
            case "prep_resize": return try await prepareResize(arguments)
            case "resize_instance": return try await resize(arguments)
            case "attach_interface": return try await attachInterface(arguments)
            case "detach_interface": return try await detachInterface(arguments)
            case "detach_volume": return try await detachVolume(arguments)
            case "build_and_run_instance", "rebuild_instance": return try await build(arguments)
            default: return .run
            }
        } catch {
            return .failed(RemoteFailure.from(error))
        }
    }

    /// What was built before the crash, or has failed, is not built again, and least of all what another host was given since.
    private func build(_ arguments: NovaArguments) async throws -> OperationRecovery.Decision {
        // An evacuation is from another host, and knows what it has done.
        if try arguments.bool("recreate", default: false) { return .run }
        let uuid = try await methods.instance(arguments).uuid
        guard let conductor = methods.conductor,
            let present = try await conductor.instance(uuid, context: arguments.context)
        else { return .run }
        if await methods.resumeReschedule(arguments, present) { return .finished(.null) }
        let isElsewhere = present.host != nil && present.host != methods.host
        let isRested = present.host != nil && present.taskState == nil && present.vmState != .building
        // It failed, and only that it is over was not written down any more.
        let isGivenUp = present.host == nil && present.taskState == nil && present.vmState == .error
        if isElsewhere || isRested || isGivenUp { return .finished(.null) }
        let isTaken = try await conductor.evacuations(from: methods.host).contains {
            $0["instance_uuid"]?.stringValue == uuid
        }
        return isTaken ? .finished(.null) : .run
    }

    /// A machine that runs is what a reboot promises; a second one would reset the guest again.
    private func reboot(_ arguments: NovaArguments) async throws -> OperationRecovery.Decision {
        let instance = try await methods.instance(arguments)
        guard let operation = NovaMethods.powerOperations.first(where: { $0.method == arguments.request.method }),
            let info = try? await methods.operations.info(try methods.uuid(instance)), info.state == "running"
        else { return .run }
        try await methods.settle(operation, arguments, instance, info)
        return .finished(.null)
    }

    /// The hosts bring what was begun to its end by themselves; here it is said what that is.
    private func migration(_ arguments: NovaArguments) async throws -> OperationRecovery.Decision {
        let instance = try await methods.instance(arguments)
        let uuid = try methods.uuid(instance)
        let destination = try arguments.string("dest")
        let migration = try arguments.object("migration")
        if await methods.operations.migrated(uuid, to: destination) != nil {
            try await methods.finish(arguments, instance, destination, migration)
            return .finished(.null)
        }
        let failure = OperationError(
            .migrationError,
            "Migration error: host \(methods.host) was restarted",
            details: ["reason": "host \(methods.host) was restarted"]
        )
        _ = try? await methods.carryOut(arguments, instance) {
            try await methods.note(.error, migration, arguments)
            throw failure
        }
        return .failed(RemoteFailure.from(failure))
    }

    /// Another host may have been asked for before the crash, and be at it.
    private func prepareResize(_ arguments: NovaArguments) async throws -> OperationRecovery.Decision {
        let asked = try await methods.record(arguments)
        guard let conductor = methods.conductor, let uuid = asked["uuid"]?.stringValue,
            let present = try await conductor.migration(uuid, context: arguments.context),
            let destination = present["dest_compute"]?.stringValue, destination != methods.host,
            destination != asked["dest_compute"]?.stringValue
        else { return .run }
        return .finished(.null)
    }

    /// As above: the machine is at its destination, or was left where and what it was.
    private func resize(_ arguments: NovaArguments) async throws -> OperationRecovery.Decision {
        let instance = try await methods.instance(arguments)
        let uuid = try methods.uuid(instance)
        let migration = try await methods.record(arguments)
        let destination = try methods.destination(of: migration)
        let info = try await methods.operations.presentInfo(uuid)
        if destination == methods.host ? info?.resize == .unconfirmed : info == nil {
            if destination != methods.host { _ = await methods.operations.migrated(uuid, to: destination) }
            _ = try? await methods.carryOut(arguments, instance, failure: .silent) {
                try await methods.handOver(arguments, instance)
                return .null
            }
            return .finished(.null)
        }
        let status = try await methods.conductor?.status(of: migration, context: arguments.context)
        guard methods.conductor == nil || status == .migrating else { return .run }
        let failure = OperationError(
            .migrationError,
            "Migration error: host \(methods.host) was restarted",
            details: ["reason": "host \(methods.host) was restarted"]
        )
        // Nobody is told that it is at rest before it is.
        await methods.operations.settleMove(uuid)
        _ = try? await methods.carryOut(arguments, instance, failure: .silent) {
            await methods.takeBackResize(arguments, instance)
            throw failure
        }
        return .failed(RemoteFailure.from(failure))
    }

    // MARK: - Devices

    /// A port that still is the request's is attached, or taken back, by carrying it out again. Otherwise it is the
    /// instance's, or nobody has begun: which of the two, only a port that the request names can tell.
    private func attachInterface(_ arguments: NovaArguments) async throws -> OperationRecovery.Decision {
        if try await methods.isAttaching(arguments) { return .run }
        let instance = try await methods.instance(arguments)
        guard let port = arguments["port_id"]?.stringValue else {
            return .failed(NovaFault.attachFailed(instance.uuid, "host \(methods.host) was restarted meanwhile"))
        }
        return try await methods.interface(port, of: instance, arguments.context).map { .finished($0) } ?? .run
    }

    private func detachInterface(_ arguments: NovaArguments) async throws -> OperationRecovery.Decision {
        let instance = try await methods.instance(arguments)
        let port = try arguments.string("port_id")
        return try await methods.interface(port, of: instance, arguments.context) == nil ? .finished(.null) : .run
    }

    private func detachVolume(_ arguments: NovaArguments) async throws -> OperationRecovery.Decision {
        guard let conductor = methods.conductor else { return .run }
        let instance = try await methods.instance(arguments)
        let volume = try arguments.string("volume_id")
        return try await conductor.volume(volume, of: instance.uuid, context: arguments.context) == nil
            ? .finished(.null) : .run
    }
}
