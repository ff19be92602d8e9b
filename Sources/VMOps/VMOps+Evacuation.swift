import Console
import Glibc
package import HostBackend
import Journal
import Logging
import Support
import Synchronization

/// Running on this host what a host that is gone ran, from the storage that both see.
extension VMOps {
    /// Takes an instance from a host that does not answer, and starts it.
    ///
    /// Whoever asks must know that the other host does not run it now; once this has succeeded, that host removes its
    /// machine when it is back, before it does anything else.
    ///
    /// - Parameters:
    ///   - powerOn: whether it runs at the end; `nil` = if it was meant to, as far as is written.
    ///   - interfaces: what they are on this host; `nil` = what they were on the other one.
    package func evacuate(
        _ uuid: InstanceUUID,
        powerOn: Bool?,
        interfaces: [NetworkInterface]? = nil,
        _ context: OperationContext
    ) async throws -> InstanceInfo {
        if let present = instance(uuid), !present.isGone, present.record.complete {
            return makeInfo(present, try await machine(uuid))
        }
        guard let (generation, text) = try await directory(uuid).owner(), let stored = StoredInstance(text: text),
            stored.record.uuid == uuid
        else { throw OperationError.notFound(uuid.text) }
        try await requireSilent(stored.owner, uuid)
        var record = localRecord(stored.record)
        if let interfaces { record.interfaces = interfaces }
        try await requireFiles(record)
        record.move = InstanceMove(
            role: .arriving,
            peer: stored.owner,
            transfer: "evacuation-\(generation + 1)",
            sharesDirectory: true,
            resize: InstanceResize(flavor: record.flavor, powerOn: powerOn ?? (stored.record.state != .off))
        )
        let arriving = try claim(record)
        let kind = OperationKind(name: "evacuate_instance", state: .building, failure: .instanceDeployFailure)
        return try await perform(kind, on: arriving, context) {
            try await takeOver(arriving, stored.owner == host ? generation : generation + 1)
            return makeInfo(arriving, try await machine(uuid)).settled
        }
    }

    /// Whose an instance is by what its directory says; `nil` when it is not on the storage that this host sees.
    package func storedOwner(_ uuid: InstanceUUID) async throws -> String? {
        guard try await isStored(uuid), let text = try await directory(uuid).owner()?.text else { return nil }
        return StoredInstance(text: text)?.owner
    }

    package func isAnswering(_ host: String) async -> Bool {
        guard host != self.host else { return true }
        guard let peer = try? peers.peer(host) else { return false }
        return await peer.isAnswering()
    }

    /// Takes an instance back that is this host's by what its control plane says, and another one's by what its directory
    /// says: that one took it over, could not run it, and says that it does not have it. It is off afterwards.
    ///
    /// - Returns: `nil` when there is nothing to take back, or the other host has it.
    package func takeBack(_ uuid: InstanceUUID, _ context: OperationContext) async throws -> InstanceInfo? {
        // What is kept for a way back is the other host's to decide about.
        guard instance(uuid) == nil, leftovers.withLock({ $0[uuid] == nil }), let owner = try await storedOwner(uuid)
        else { return nil }
        if owner != host, try await peers.peer(owner).presentInfo(uuid) != nil { return nil }
        return try await evacuate(uuid, powerOn: false, context)
    }

    /// The instance, registered; an earlier attempt's is gone on with.
    private func claim(_ record: InstanceRecord) throws -> Instance {
        let instance = Instance(record)
        guard let present = register(instance) else { return instance }
        guard present.record.move?.transfer.hasPrefix("evacuation-") == true else {
            throw OperationError.exists(record.name)
        }
        _ = present.update { $0 = record }
        return present
    }

    private func requireSilent(_ owner: String, _ uuid: InstanceUUID) async throws {
        guard owner != host else { return }
        guard let peer = try? peers.peer(owner), await peer.isAnswering() else { return }
        guard try await peer.presentInfo(uuid) != nil else { return }
        throw OperationError(
            .computeServiceInUse,
            "Compute service of \(owner) is still in use.",
            details: ["host": owner]
        )
    }

    /// The record with this host's paths.
    private func localRecord(_ stored: InstanceRecord) -> InstanceRecord {
        var record = stored
        record.complete = false
        record.arrivedBy = nil
        for index in record.disks.indices where record.disks[index].role != .volume {
            record.disks[index].path = directory(record.uuid).file(record.disks[index].name)
        }
        return record
    }

    /// A disk that is a layer over an image needs the image where the other host had it.
    private func requireFiles(_ record: InstanceRecord) async throws {
        for disk in record.disks where disk.role != .volume {
            do {
                guard let backing = try await backend.diskInfo(disk.path, format: disk.format).backingFile else {
                    continue
                }
                let isThere = try await BlockingPool.shared.run { access(backing, R_OK) == 0 }
                guard isThere else { throw preCheckError("host \(host) does not see \(backing)") }
            } catch {
                throw OperationError(error, failure: .migrationPreCheckError, instance: nil, host: host)
            }
        }
    }

    /// In the lane only; every step may be repeated.
    private func takeOver(_ instance: Instance, _ generation: Int) async throws {
        let uuid = instance.uuid
        try await journal.save(instance.record)
        do {
            try await directory(uuid).markEvacuated()
            // From here on the other host keeps its hands off it.
            var record = try await takeOwnership(instance.record, generation)
            try await journal.save(record)
            _ = instance.update { $0 = record }
            await forgetKeptHere(uuid)
            record = try await connectVolumes(of: record)
            try await removeMachine(uuid)
            try await define(record)
            record.state = .off
            if record.move?.resize?.powerOn == true {
                // Before it counts as done, or a crash would leave it off.
                try await start(instance, from: .off, failure: .instancePowerOnFailure)
                record.state = .running
            }
            record.complete = true
            record.move = nil
            try await journal.save(record)
            _ = instance.update { $0 = record }
            await publish(instance)
        } catch {
            try? await remove(arriving: instance)
            throw error
        }
    }

    /// The instances that the storage has, whoever's they are, by what their directories say of them.
    ///
    /// - Parameter owner: only that host's.
    package func storedInstances(of owner: String?) async throws -> [(uuid: InstanceUUID, name: String, owner: String)]
    {
        let path = instancesPath
        let names = try await BlockingPool.shared.run { try namesInDirectory(path) }
        var found: [(uuid: InstanceUUID, name: String, owner: String)] = []
        for name in names.sorted() {
            guard let uuid = InstanceUUID(name), uuid.text == name,
                let text = (try? await directory(uuid).owner())?.text, let stored = StoredInstance(text: text)
            else { continue }
            if owner == nil || stored.owner == owner { found.append((uuid, stored.record.name, stored.owner)) }
        }
        return found
    }
}
