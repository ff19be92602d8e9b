import Console
package import HostBackend
import Journal
import Logging
import Support
import Synchronization

/// The end of a cold migration or resize, decided where the instance is: it stays, or goes back (VM operations,
/// section 9).
extension VMOps {
    /// The instance stays as it is; what was kept for the way back is removed, in the background if the other host does
    /// not answer now. An instance with nothing to confirm is confirmed already.
    package func confirmResize(_ uuid: InstanceUUID, _ context: OperationContext) async throws -> InstanceInfo {
        let instance = try existing(uuid)
        let kind = OperationKind(name: "confirm_resize", state: nil, failure: .migrationError)
        return try await perform(kind, on: instance, context) {
            if let move = instance.record.move, [.resized, .confirming].contains(move.role) {
                try await decide(instance, .confirming)
                await settleConfirmation(instance)
            }
            return makeInfo(instance, try await machine(uuid)).settled
        }
    }

    private func decide(_ instance: Instance, _ role: InstanceMove.Role) async throws {
        var record = instance.record
        record.move?.role = role
        try await journal.save(record)
        _ = instance.update { $0 = record }
    }

    /// In the lane only.
    func settleConfirmation(_ instance: Instance) async {
        guard let move = instance.record.move, move.role == .confirming else { return }
        do {
            if move.peer != host {
                try await peers.peer(move.peer).confirmOutgoing(instance.uuid, transfer: move.transfer)
            }
            if move.sharesDirectory { try await dropBackup(instance.uuid, move.transfer) }
            await remember(instance) { $0.move = nil }
        } catch {
            logger.warning(
                "source of a confirmed migration not cleaned up yet",
                metadata: ["instance": "\(instance.uuid)", "source": "\(move.peer)", "error": "\(error)"]
            )
        }
    }

    /// The instance goes back to where and what it was; what was written to its disks since is given up.
    ///
    /// - Returns: the instance where it then is.
    package func revertResize(_ uuid: InstanceUUID, _ context: OperationContext) async throws -> InstanceInfo {
        let instance = try existing(uuid)
        let kind = OperationKind(name: "revert_resize", state: .resizing, failure: .migrationError)
        return try await perform(kind, on: instance, context) {
            guard let move = instance.record.move, [.resized, .confirming, .reverting].contains(move.role) else {
                return makeInfo(instance, try await machine(uuid)).settled
            }
            guard move.role != .confirming else {
                throw OperationError.invalidState(uuid.text, state: "confirmed", method: "revert_resize")
            }
            if move.peer == host {
                try await decide(instance, .reverting)
                try await revertHere(instance)
                return makeInfo(instance, try await machine(uuid)).settled
            }
            // Before anything is given up here.
            guard try await peers.peer(move.peer).knowsOutgoing(uuid, transfer: move.transfer) else {
                throw OperationError.invalidState(uuid.text, state: "given up by \(move.peer)", method: "revert_resize")
            }
            try await decide(instance, .reverting)
            let expected = makeInfo(instance, nil)
            return await finishLeaving(instance) ?? departed(expected, to: move.peer)
        }
    }

    // MARK: On the same host

    /// In the lane only; every step may be repeated.
    func revertHere(_ instance: Instance) async throws {
        let uuid = instance.uuid
        guard let move = instance.record.move, let resize = move.resize else { return }
        try await removeMachine(uuid)
        await closeConsole(instance, mark: .stop)
        try await restoreDisks(uuid, move.transfer)
        var record = instance.record
        record.flavor = resize.flavor
        record.disks = resize.disks
        record.state = .off
        record.move = nil
        try await define(record)
        // Before the move is forgotten, or a crash would leave it off.
        var failure: (any Error)?
        if resize.powerOn {
            do {
                try await start(instance, from: .off, failure: .instancePowerOnFailure)
                record.state = .running
            } catch {
                failure = error
            }
        }
        try await journal.save(record)
        _ = instance.update { $0 = record }
        await publish(instance)
        if let failure { throw failure }
    }

    // MARK: At the destination

    /// The machine goes from here; the log, with what it printed here, goes before it.
    func revertThere(_ leftover: Instance, _ move: InstanceMove) async throws -> InstanceInfo? {
        let uuid = leftover.uuid
        let peer = try peers.peer(move.peer)
        try await removeMachine(uuid)
        await closeConsole(leftover, mark: .stop)
        try await disconnectAll(leftover.record)
        var isLogBack = true
        if !move.sharesDirectory {
            do {
                try await moveConsole(leftover, transfer: Departure.wayBack(of: move.transfer), to: peer)
            } catch let error as OperationError where error.code == .hypervisorUnavailable {
                throw error
            } catch {
                isLogBack = false
                logger.warning(
                    "console log not moved back",
                    metadata: ["instance": "\(uuid)", "destination": "\(move.peer)", "error": "\(error)"]
                )
            }
        }
        let info = try await peer.revertOutgoing(uuid, transfer: move.transfer)
        if !move.sharesDirectory, isLogBack { try await removeFiles(uuid) }
        if !isLogBack { await keepAside(leftover) }
        try await drop(leftover)
        return info
    }

    // MARK: At the source

    package func confirmOutgoing(_ uuid: InstanceUUID, transfer: String) async throws {
        try requireService()
        guard let leftover = leftovers.withLock({ $0[uuid] }) else { return }
        try await leftover.leavingLane.run {
            guard isKept(leftover, .confirm(transfer)) == .remove else { return }
            try await forgetKept(leftover)
        }
    }

    private func isKept(_ leftover: Instance, _ request: Departure.Request) -> Departure.Answer {
        let isHere = leftovers.withLock { $0[leftover.uuid] === leftover }
        return Departure(leftover.record, hasLeft: isHere).answer(to: request)
    }

    /// The instance stays where it went.
    func forgetKept(_ leftover: Instance) async throws {
        let uuid = leftover.uuid
        guard let move = leftover.record.move else { return }
        try await removeMachine(uuid)
        try await disconnectAll(leftover.record)
        await closeConsole(leftover, mark: nil)
        if move.sharesDirectory {
            try await directory(uuid).remove(file: leftover.token(move))
        } else {
            try await removeFiles(uuid)
        }
        try await drop(leftover)
    }

    package func revertOutgoing(_ uuid: InstanceUUID, transfer: String) async throws -> InstanceInfo {
        try requireService()
        if let leftover = leftovers.withLock({ $0[uuid] }) {
            return try await leftover.leavingLane.run {
                switch isKept(leftover, .revert(transfer)) {
                case .takeBack: return try await bringBack(leftover)
                case .done: return try await cameBack(uuid, leftover)
                default: throw OperationError.notFound(uuid.text)
                }
            }
        }
        let instance = try existing(uuid)
        guard Departure(instance.record, hasLeft: false).answer(to: .revert(transfer)) == .done else {
            throw OperationError.notFound(uuid.text)
        }
        return makeInfo(instance, try await machine(uuid))
    }

    /// The number after that of the host that gives the instance back; none other than this one has taken it since.
    private func nextGeneration(_ record: InstanceRecord) async throws -> Int {
        guard let owner = try await directory(record.uuid).owner() else { return record.generation + 1 }
        return StoredInstance(text: owner.text)?.owner == host ? owner.generation : owner.generation + 1
    }

    /// The one who asks had no answer: the instance came back, and may be anywhere since.
    private func cameBack(_ uuid: InstanceUUID, _ leftover: Instance) async throws -> InstanceInfo {
        if let instance = instance(uuid) { return makeInfo(instance, try await machine(uuid)) }
        return makeInfo(leftover, nil)
    }

    /// The instance as it was when it left, but for its log. In the leaving lane only; every step may be repeated.
    func bringBack(_ leftover: Instance) async throws -> InstanceInfo {
        let uuid = leftover.uuid
        guard let move = leftover.record.move, let resize = move.resize else {
            throw OperationError.notFound(uuid.text)
        }
        var record = leftover.record
        do {
            record = try await connectVolumes(of: record)
            if move.sharesDirectory { try await restoreDisks(uuid, move.transfer) }
            try await directory(uuid).remove(file: leftover.token(move))
            try await define(record)
        } catch {
            throw OperationError(error, failure: .migrationError, instance: nil, host: host)
        }
        record.move = nil
        record.arrivedBy = Departure.wayBack(of: move.transfer)
        record.complete = true
        record.state = .off
        // After that of the host it was at.
        if move.sharesDirectory { record = try await takeOwnership(record, try await nextGeneration(record)) }
        let instance = Instance(record)
        if resize.powerOn {
            await beforeReturn?(uuid)
            // Before the move is forgotten, or a crash would leave it off.
            do {
                try await start(instance, from: .off, failure: .instancePowerOnFailure)
                record.state = .running
            } catch {
                logger.error("reverted instance not started", metadata: ["instance": "\(uuid)", "error": "\(error)"])
            }
        }
        try await journal.save(record)
        _ = instance.update { $0 = record }
        await publish(instance)
        leftovers.withLock { leftovers in
            if leftovers[uuid] === leftover { leftovers[uuid] = nil }
        }
        guard register(instance) == nil else { throw OperationError.exists(record.name) }
        return makeInfo(instance, try await machine(uuid))
    }
}
