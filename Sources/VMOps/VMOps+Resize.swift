import Console
package import HostBackend
import Journal
import Logging
import Support

/// Cold migration and resize, where the instance is (VM operations, section 9).
extension VMOps {
    /// Gives an instance another flavor, another host, or both; it is turned off meanwhile. Afterwards it waits to be
    /// confirmed or reverted where it then is.
    ///
    /// A failure before the instance is on its new host, or has its new disks, leaves it as and where it was.
    package func resize(
        _ uuid: InstanceUUID,
        _ request: ResizeRequest,
        _ context: OperationContext
    ) async throws -> InstanceInfo {
        let instance = try existing(uuid)
        guard backend.capabilities.has(.coldMigration) else {
            throw OperationError.notImplemented("resize is not supported by host \(host)")
        }
        let destination = request.destination ?? host
        let kind = OperationKind(
            name: "resize_instance",
            state: destination == host ? .resizing : .migratingOut,
            failure: .migrationError
        )
        return try await perform(kind, on: instance, context) {
            if let key = context.requestKey, instance.record.move?.role == .resized,
                instance.record.move?.resize?.request == key
            {
                return makeInfo(instance, try await machine(uuid))
            }
            try await requireUnmoved(instance)
            try await handlePendingEvents(instance)
            let flavor = request.flavor(from: instance.record.flavor)
            guard destination != host || flavor != instance.record.flavor else { throw toSelf(uuid) }
            let wasRunning = try await requireResizable(uuid)
            try await checkSizes(instance, flavor)
            let resize = InstanceResize(flavor: flavor, powerOn: wasRunning, request: context.requestKey)
            if destination == host {
                return try await resizeHere(instance, resize, request)
            }
            return try await migrateCold(instance, to: destination, resize, request)
        }
    }

    /// No other move is under way or waits for somebody's decision.
    private func requireUnmoved(_ instance: Instance) async throws {
        try requireNotResized(instance, "resize_instance")
        guard instance.record.move?.role != .arrived else {
            throw preCheckError("the console log of an earlier migration is still on its way")
        }
        guard await clearMove(instance) else { throw preCheckError("an earlier migration is not cleaned up yet") }
    }

    /// - Returns: whether the machine runs.
    private func requireResizable(_ uuid: InstanceUUID) async throws -> Bool {
        guard let status = try await machine(uuid) else { throw OperationError.notFound(uuid.text) }
        switch status.state {
        case .running, .transitional: return true
        case .off: return false
        case .paused, .saved, .error:
            throw OperationError.invalidState(uuid.text, state: status.state.clientName, method: "resize_instance")
        }
    }

    /// The guest is asked as long as the request says, then the machine turned off.
    func shutDown(_ instance: Instance, _ request: ResizeRequest) async throws {
        guard let status = try await machine(instance.uuid) else { throw OperationError.notFound(instance.uuid.text) }
        guard status.state != .off else { return }
        let budget = ShutdownBudget(timeout: request.timeout, interval: request.interval)
        if request.timeout > .zero, try await softShutdown(instance, budget, failure: .migrationError) {
            await closeConsole(instance, mark: .stop)
        } else {
            try await stop(instance, failure: .migrationError)
        }
    }

    /// Written down before anything is changed anywhere, so that it is taken back whatever happens.
    func rememberResize(_ instance: Instance, _ move: InstanceMove) async throws {
        var record = instance.record
        record.move = move
        try await journal.save(record)
        _ = instance.update { $0 = record }
    }

    /// Defines the machine of a record, off, and connects its interfaces.
    func define(_ record: InstanceRecord) async throws {
        try await backend.createMachine(machineSpec(record))
        for interface in record.interfaces { try await backend.plugInterface(interface, of: record.uuid) }
    }

    // MARK: On the same host

    private func resizeHere(
        _ instance: Instance,
        _ resize: InstanceResize,
        _ request: ResizeRequest
    ) async throws -> InstanceInfo {
        let uuid = instance.uuid
        let before = instance.record
        let move = InstanceMove(
            role: .leaving,
            peer: host,
            transfer: UniqueID.make(),
            sharesDirectory: true,
            resize: resize
        )
        try await rememberResize(instance, move)
        do {
            try await shutDown(instance, request)
            try await backUpDisks(before, move.transfer)
            var record = try await fitDisks(before, to: resize.flavor)
            try await removeMachine(uuid)
            try await define(record)
            record.state = .off
            record.move = move
            record.move?.role = .resized
            record.move?.resize?.flavor = before.flavor
            record.move?.resize?.disks = before.disks
            record.move?.resize?.isStarting = request.powerOn ?? resize.powerOn
            try await journal.save(record)
            _ = instance.update { $0 = record }
            await publish(instance)
        } catch {
            await takeBackResize(instance)
            throw stayed(error, instance)
        }
        try await startResized(instance)
        return makeInfo(instance, try await machine(uuid)).settled
    }

    /// What a caller hears of a move that came to nothing.
    func stayed(_ error: any Error, _ instance: Instance, reason: String? = nil) -> OperationError {
        if let error = error as? OperationError, error.code != .migrationError { return error }
        let reason = reason ?? "\(error)"
        return OperationError(
            .migrationError,
            "Migration error: \(reason). The instance is still on \(host).",
            details: ["reason": reason],
            cause: error
        )
    }

    func takeBackResize(_ instance: Instance) async {
        // Awaited right here; unstructured only so that a cancelled resize is still taken back.
        await Task {
            await clearMove(instance)
            await fitConsole(instance)
        }.value
    }

    // MARK: Staying

    /// The machine stays here as it was: disks, definition and power. In the lane only; every step may be repeated.
    func stay(_ instance: Instance, _ move: InstanceMove) async throws {
        let uuid = instance.uuid
        let record = instance.record
        guard let resize = move.resize else { return }
        let state = try await machine(uuid)?.state
        // A machine that runs was not touched yet, or is back already.
        if state == nil || state == .off {
            if move.peer == host { try await removeMachine(uuid) }
            if move.sharesDirectory { try await restoreDisks(uuid, move.transfer) }
            try await define(record)
            if resize.powerOn { try await start(instance, from: .off, failure: .instancePowerOnFailure) }
            let wanted: MachineState = resize.powerOn ? .running : .off
            await remember(instance) { record in
                record.state = wanted
                // Done once: what a user does with the machine from now on stays.
                record.move?.resize?.powerOn = false
            }
        }
        await removeSending(uuid, move.transfer)
        if move.peer != host {
            try await peers.peer(move.peer).abandonIncoming(uuid, transfer: move.transfer)
        }
        try await directory(uuid).remove(file: instance.token(move))
    }

    private func removeSending(_ uuid: InstanceUUID, _ transfer: String) async {
        let names = instanceDisks(uuid).indices.map { ".sending-\(transfer)-\($0)" }
        await directory(uuid).removeSent(names)
    }

    private func instanceDisks(_ uuid: InstanceUUID) -> [DiskAttachment] { instance(uuid)?.record.disks ?? [] }
}
