package import HostBackend

/// Volumes and interfaces of instances that exist (VM operations, sections 10.3 and 10.4).
extension VMOps {
    /// Attaching an attached volume succeeds.
    package func attachVolume(
        _ uuid: InstanceUUID,
        _ volume: VolumeConnection,
        _ context: OperationContext
    ) async throws {
        let instance = try existing(uuid)
        let kind = OperationKind(name: "attach_volume", state: nil, failure: .volumeAttachFailed)
        try await perform(kind, on: instance, context) {
            try requireNotResized(instance, "attach_volume")
            guard !instance.record.disks.contains(where: { $0.identifier == volume.volumeID }) else { return }
            var addresses = DeviceAddresses(used: instance.record.disks.map(\.address))
            let address = try addresses.volume(boot: false)
            var undo = Undo()
            undo.add("disconnect volume") { try await self.backend.disconnectVolume(volume) }
            let disk: DiskAttachment
            do {
                let path = try await connectVolume(volume)
                disk = volumeAttachment(volume, path: path, address: address)
                undo.add("detach volume") { try await self.backend.detachDisk(path: path, from: uuid) }
                try await backend.attachDisk(disk, to: uuid)
            } catch {
                _ = await undo.run(logger)
                throw error
            }
            await remember(instance) { record in
                record.disks.append(disk)
                record.volumes.append(volume)
            }
            await publish(instance)
        }
    }

    /// Detaching an absent volume succeeds.
    package func detachVolume(
        _ uuid: InstanceUUID,
        _ volume: VolumeConnection,
        _ context: OperationContext
    ) async throws {
        let instance = try existing(uuid)
        let kind = OperationKind(name: "detach_volume", state: nil, failure: .novaException)
        try await perform(kind, on: instance, context) {
            try requireNotResized(instance, "detach_volume")
            let disk = instance.record.disks.first { $0.identifier == volume.volumeID }
            if let disk { try await backend.detachDisk(path: disk.path, from: uuid) }
            try await backend.disconnectVolume(volume)
            await remember(instance) { record in
                record.disks.removeAll { $0.identifier == volume.volumeID }
                record.volumes.removeAll { $0.volumeID == volume.volumeID }
            }
            await publish(instance)
        }
    }

    package func attachInterface(
        _ uuid: InstanceUUID,
        _ interface: NetworkInterface,
        _ context: OperationContext
    ) async throws {
        let instance = try existing(uuid)
        let kind = OperationKind(name: "attach_interface", state: nil, failure: .interfaceAttachFailed)
        try await perform(kind, on: instance, context) {
            try requireNotResized(instance, "attach_interface")
            try await requireHotplug(uuid, .hotplugNIC, failure: .interfaceAttachFailed)
            guard !instance.record.interfaces.contains(where: { $0.id == interface.id }) else { return }
            var undo = Undo()
            do {
                undo.add("unplug interface") { try await self.backend.unplugInterface(interface, of: uuid) }
                try await backend.plugInterface(interface, of: uuid)
                undo.add("detach interface") { try await self.backend.detachInterface(id: interface.id, from: uuid) }
                try await backend.attachInterface(interface, to: uuid)
            } catch {
                _ = await undo.run(logger)
                throw error
            }
            await remember(instance) { $0.interfaces.append(interface) }
            await publish(instance)
        }
    }

    /// Detaching an absent interface succeeds.
    package func detachInterface(_ uuid: InstanceUUID, id: String, _ context: OperationContext) async throws {
        let instance = try existing(uuid)
        let kind = OperationKind(name: "detach_interface", state: nil, failure: .interfaceDetachFailed)
        try await perform(kind, on: instance, context) {
            try requireNotResized(instance, "detach_interface")
            guard let interface = instance.record.interfaces.first(where: { $0.id == id }) else { return }
            try await requireHotplug(uuid, .hotplugNIC, failure: .interfaceDetachFailed)
            try await backend.detachInterface(id: id, from: uuid)
            try await backend.unplugInterface(interface, of: uuid)
            await remember(instance) { record in record.interfaces.removeAll { $0.id == id } }
            await publish(instance)
        }
    }

    /// Whether an instance of this host has an interface, as far as is known without asking the machine.
    package func hasInterface(_ uuid: InstanceUUID, id: String) -> Bool {
        instance(uuid)?.record.interfaces.contains { $0.id == id } ?? false
    }

    /// What the way back of a resize brings has the devices of before, so they stay until that is settled.
    func requireNotResized(_ instance: Instance, _ method: String) throws {
        guard let role = instance.record.move?.role, [.resized, .confirming, .reverting].contains(role) else { return }
        throw OperationError.invalidState(instance.uuid.text, state: "resized", method: method)
    }

    /// A machine that is off can always be changed, a running one only where the host can.
    private func requireHotplug(
        _ uuid: InstanceUUID,
        _ capability: Capability,
        failure: OperationError.Code
    ) async throws {
        guard let status = try await machine(uuid) else { throw OperationError.notFound(uuid.text) }
        guard status.state == .off || backend.capabilities.has(capability) else {
            throw OperationError(
                failure,
                "Host \(host) cannot change devices of a machine that is \(status.state.clientName).",
                details: ["instance_uuid": uuid.text]
            )
        }
    }
}
