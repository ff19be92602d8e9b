import ComputeRPC
import HostBackend
import Logging
import NovaObjects
import OpenStackAPI
import OsloMessaging
import Support
import VMOps

/// The end of a cold migration or resize (Nova's compute RPC, section 7.7). Nova asks the source to confirm and the
/// destination to revert; with these hosts it is always the one that has the machine, which then speaks to the other.
extension NovaMethods {
    private static let confirmable: Set<MigrationStatus?> = [.finished, .confirming]
    private static let longestPause = Duration.seconds(5)

    var resizeEnds: [RemoteMethod] {
        [
            mutating("confirm_resize", ["instance", "migration"]) { [self] arguments in
                let instance = try await instance(arguments)
                let migration = try await record(arguments)
                let isSource = try source(of: migration) == host
                guard isSource else {
                    _ = try await operations.confirmResize(try uuid(instance), arguments.operation)
                    return .null
                }
                return try await carryOut(arguments, instance, failure: .silent) {
                    try await confirm(arguments, instance, migration)
                }
            },
            mutating("revert_resize", ["instance", "migration"]) { [self] arguments in
                let instance = try await instance(arguments)
                return try await carryOut(arguments, instance) { try await revert(arguments, instance) }
            },
            mutating("finish_revert_resize", ["instance", "migration"]) { [self] arguments in
                let instance = try await instance(arguments)
                return try await carryOut(arguments, instance, failure: .error) {
                    try await finishRevert(arguments, instance)
                }
            },
        ]
    }

    // MARK: - Confirm

    private func confirm(
        _ arguments: NovaArguments,
        _ instance: NovaInstance,
        _ migration: NovaObject
    ) async throws -> JSONValue {
        if let conductor {
            let status = try await conductor.status(of: migration, context: arguments.context)
            guard Self.confirmable.contains(status) else {
                logger.notice("nothing to confirm", metadata: ["instance": "\(instance.uuid)"])
                return .null
            }
        }
        let destination = try destination(of: migration)
        do {
            if destination == host {
                _ = try await operations.confirmResize(try uuid(instance), arguments.operation)
            } else {
                _ = try await ask(
                    .computeAlt,
                    destination,
                    "confirm_resize",
                    arguments.request.args,
                    arguments,
                    isLong: true
                )
            }
        } catch {
            // It may be confirmed, or reverted, another time.
            await note(.finished, of: migration, arguments)
            throw error
        }
        guard let conductor, let present = try await conductor.resizing(instance.uuid, context: arguments.context)
        else {
            return .null
        }
        var changes = Self.settled(present, flavor: present.object["flavor"])
        // A user may have started it, or switched it off.
        let isOff = present.powerState == MachineState.off.novaPowerState
        changes["vm_state"] = .string((isOff ? VMState.stopped : .active).rawValue)
        try await save(arguments, instance, changes, expected: [nil, .deleting, .softDeleting])
        try await note(.confirmed, migration, arguments)
        await freeAllocations(of: migration)
        return .null
    }

    /// What stays of a move when it is over: nothing but the flavor.
    private static func settled(_ present: NovaInstance, flavor: JSONValue?) -> JSONObject {
        var changes = flavors(present, flavor: flavor, old: .null, new: .null)
        var metadata = present.object["system_metadata"]?.objectValue ?? [:]
        metadata["old_vm_state"] = nil
        changes["system_metadata"] = .object(metadata)
        changes["migration_context"] = .null
        changes["task_state"] = .null
        return changes
    }

    // MARK: - Revert

    private func revert(_ arguments: NovaArguments, _ instance: NovaInstance) async throws -> JSONValue {
        let migration = try await record(arguments)
        let source = try source(of: migration)
        if let conductor {
            let status = try await conductor.status(of: migration, context: arguments.context)
            guard status == .reverting || status == .finished else { return .null }
        }
        do {
            try await goBack(try uuid(instance), to: source, arguments)
        } catch {
            await note(.finished, of: migration, arguments)
            throw error
        }
        try await tell(source, "finish_revert_resize", arguments.request.args, arguments)
        return .null
    }

    /// May be repeated: the machine may be at its source already.
    private func goBack(_ uuid: InstanceUUID, to source: String, _ arguments: NovaArguments) async throws {
        // One that was confirmed, without anybody having heard of it, cannot go back any more.
        if source != host, let info = try await operations.presentInfo(uuid), info.resize == nil {
            throw OperationError.invalidState(uuid.text, state: "confirmed", method: "revert_resize")
        }
        do {
            _ = try await operations.revertResize(uuid, arguments.operation)
        } catch let error as OperationError where error.code == .instanceNotFound && source != host {
            guard await operations.migrated(uuid, to: source) != nil else { throw error }
        }
    }

    private func finishRevert(_ arguments: NovaArguments, _ instance: NovaInstance) async throws -> JSONValue {
        let migration = try await record(arguments)
        if let conductor {
            let status = try await conductor.status(of: migration, context: arguments.context)
            guard status == .reverting || status == .finished else { return .null }
        }
        let info = try await returned(try uuid(instance))
        await bindPorts(instance, arguments.context)
        guard let conductor, let present = try await conductor.resizing(instance.uuid, context: arguments.context)
        else {
            return .null
        }
        await returnAllocations(of: migration, to: instance)
        let old = try present.object.object("old_flavor")
        var changes = Self.settled(present, flavor: old?.primitive)
        for change in try Self.columns(old) { changes[change.key] = change.value }
        for change in placing { changes[change.key] = change.value }
        changes["power_state"] = .int(Int64(info.powerState))
        changes["launched_at"] = .string(NovaTime.now)
        changes["vm_state"] = .string(
            (info.powerState == MachineState.off.novaPowerState ? VMState.stopped : .active).rawValue
        )
        try await save(arguments, instance, changes, expected: [.resizeReverting, nil])
        try await note(.reverted, migration, arguments)
        return .null
    }

    /// Waits for the machine that the destination gives back by the hosts' own protocol, no longer than for an answer
    /// that takes long.
    private func returned(_ uuid: InstanceUUID) async throws -> InstanceInfo {
        let deadline = ContinuousClock.now + settings.longTimeout
        var pauses = Backoff(initial: .milliseconds(250), maximum: Self.longestPause)
        while ContinuousClock.now < deadline {
            if let info = try await operations.presentInfo(uuid) { return info }
            try await Task.sleep(for: pauses.next())
        }
        return try await operations.info(uuid)
    }

    // MARK: - Ports

    /// The instance's ports are this host's from now on.
    func bindPorts(_ instance: NovaInstance, _ context: JSONObject) async {
        let host = host
        await eachPort(instance, "port not bound to its new host") { network, port, id throws(OpenStackError) in
            guard port["binding:host_id"]?.stringValue != host else { return }
            _ = try await network.update(id, ["binding:host_id": .string(host)])
        }
        await refreshNetworkInfo(instance, context)
    }
}
