import HostBackend
import Support
import Synchronization

extension QEMUMachine {
    /// Before a start: every interface has its slot, and its device on the host, which a restart of the host removes.
    func prepareInterfaces() async throws -> MachineRecord {
        let record = try state.withLock { state throws(BackendError) in
            try state.record.assignSlots()
            return state.record
        }
        for interface in record.spec.interfaces { try await services.network.plug(interface, of: uuid) }
        return record
    }

    /// Adds an interface to the definition, and to the guest if it runs. On failure it is in neither.
    func attach(_ interface: NetworkInterface) async throws {
        if let present = record.spec.interfaces.first(where: { $0.id == interface.id }) {
            if present != interface {
                throw BackendError(.alreadyExists, "machine \(uuid) has another interface \(interface.id)")
            }
            // Half detached at an earlier try, perhaps.
            if process != nil, try await changesDevicesLive("attach an interface to") { try await insert(interface) }
            return
        }
        let isLive = try await changesDevicesLive("attach an interface to")
        try checkNames(of: interface)
        if isLive { try await insert(interface) }
        do {
            try await saveDefinition { $0.spec.interfaces.append(interface) }
        } catch {
            if isLive { await unlessCancelled { try? await self.remove(interface) } }
            throw error
        }
    }

    /// Removes the interface from the guest and the definition; one that is not there is fine.
    func detach(interfaceWith id: String) async throws {
        let known = record.spec.interfaces.first { $0.id == id }
        if known == nil, process == nil { return }
        let isLive = try await changesDevicesLive("detach an interface from")
        if isLive {
            // Its names follow from its id; the rest of it does not matter here.
            let interface = known ?? NetworkInterface(id: id, macAddress: "")
            if machineState == .paused, try await hasDevice(interface.deviceID) {
                throw BackendError(
                    .invalidState,
                    "the guest of machine \(uuid) is paused and cannot let go of a device"
                )
            }
            try await remove(interface)
        }
        guard known != nil else { return }
        try await saveDefinition { record in
            record.spec.interfaces.removeAll { $0.id == id }
            record.slots[id] = nil
        }
    }

    private func insert(_ interface: NetworkInterface) async throws {
        guard let backend = interface.backend(services.command.network) else { return }
        // Written down first: an interface must be found in its slot when memory is read back.
        let slot = try state.withLock { state throws(BackendError) in
            try state.record.assignSlots(adding: interface.id)
            return state.record.slots[interface.id] ?? 0
        }
        try await save()
        // A device of that name is this one: it was added, and the definition was not written any more.
        if try await hasDevice(interface.deviceID) { return }
        do {
            do { try await execute("netdev_del", ["id": .string(interface.backendName)]) } catch {
                try Self.passRefusal(error)
            }
            try await execute("netdev_add", backend)
            try await execute("device_add", interface.device(slot: slot, record.platform))
        } catch {
            await unlessCancelled { try? await self.remove(interface) }
            throw error
        }
    }

    private func remove(_ interface: NetworkInterface) async throws {
        try await removeDevice(interface.deviceID)
        do {
            try await execute("netdev_del", ["id": .string(interface.backendName)])
        } catch {
            // There is none where interfaces are connected to nothing.
            try Self.passRefusal(error)
        }
    }

    /// Names are made of a part of the id, which two interfaces may share.
    private func checkNames(of interface: NetworkInterface) throws(BackendError) {
        guard !record.spec.interfaces.contains(where: { $0.deviceID == interface.deviceID }) else {
            throw BackendError(.invalidArgument, "interface \(interface.id) has too similar an id to another's")
        }
    }
}
