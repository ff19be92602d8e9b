import DiskImages
import HostBackend
import Support

extension QEMUMachine {
    /// Adds a disk to the definition, and to the guest if it runs. On failure it is in neither.
    func attach(_ disk: DiskAttachment) async throws {
        let disks = record.spec.disks
        if let present = disks.first(where: { $0.path == disk.path }) {
            // Half detached at an earlier try, perhaps.
            if process != nil, try await changesDevicesLive("attach a disk to"),
                try await !hasDevice(present.deviceName)
            {
                try await insert(present)
            }
            return
        }
        guard !disks.contains(where: { $0.address == disk.address }) else {
            throw BackendError(.invalidArgument, "the address of \(disk.path) is taken in machine \(uuid)")
        }
        let isLive = try await changesDevicesLive("attach a disk to")
        if isLive { try await insert(disk) }
        do {
            try await saveDefinition { $0.spec.disks.append(disk) }
        } catch {
            if isLive { await unlessCancelled { try? await self.remove(disk) } }
            throw error
        }
    }

    /// Removes the disk of that file from the guest and the definition; one that is not there is fine.
    func detach(diskAt path: String) async throws {
        let disk = record.spec.disks.first { $0.path == path }
        if disk == nil, process == nil { return }
        let isLive = try await changesDevicesLive("detach a disk from")
        if isLive {
            if let disk {
                guard disk.address.bus == .scsi else {
                    throw BackendError(.invalidState, "\(path) can be detached only while machine \(uuid) is off")
                }
                try await remove(disk)
            } else {
                try await removeStrays(of: path)
            }
        }
        if disk != nil { try await saveDefinition { $0.spec.disks.removeAll { $0.path == path } } }
    }

    private func insert(_ disk: DiskAttachment) async throws {
        guard disk.address.bus == .scsi else {
            throw BackendError(.invalidState, "a running machine takes disks on SCSI only")
        }
        var granted = record.spec
        granted.disks = [disk]
        let (spec, user) = (granted, services.command.demotion?.user)
        try await services.work.run { _ in try MachineAccess.grant(spec, to: user) }
        let device = try disk.device(settings.diskBus, record.platform)
        do {
            // What an earlier worker began and did not write down.
            try await remove(disk)
            try await execute("blockdev-add", disk.node)
            try await execute("device_add", device)
        } catch {
            await unlessCancelled { try? await self.remove(disk) }
            throw error
        }
    }

    private func remove(_ disk: DiskAttachment) async throws {
        try await removeDevice(disk.deviceName)
        try await removeNode(disk.nodeName)
    }

    /// Removes devices of the file that the definition does not know.
    private func removeStrays(of path: String) async throws {
        let known = Set(record.spec.disks.map(\.nodeName))
        for node in try await nodes() {
            guard let name = node["node-name"]?.stringValue, node["file"]?.stringValue == path,
                let device = DiskAttachment.deviceName(ofNode: name), !known.contains(name)
            else { continue }
            try await removeDevice(device)
            try await removeNode(name)
        }
    }
}

extension DiskAttachment {
    /// The device that belongs to a node of ours; `nil` for nodes of another kind.
    fileprivate static func deviceName(ofNode name: String) -> String? {
        name.hasPrefix("disk-") ? "dev-" + name.dropFirst("disk-".count) : nil
    }
}
