import DiskImages
package import HostBackend
import ImageStore
import Support

extension SimulatedHost {
    // MARK: Disks

    package func image(_ reference: String) async throws -> ImageInfo {
        try await image(ImageRequest(reference))
    }

    package func image(_ request: ImageRequest) async throws -> ImageInfo {
        try await perform(.image) { try await images.image(request) }
    }

    package func createDisk(_ request: DiskRequest) async throws -> DiskInfo {
        try await perform(.createDisk) { try await disks.createDisk(request) }
    }

    package func diskInfo(_ path: String) async throws -> DiskInfo {
        try await perform(.diskInfo) { try await disks.diskInfo(path) }
    }

    package func resizeDisk(_ path: String, virtualSize: UInt64) async throws {
        try await perform(.resizeDisk) {
            try require(.resizeDisks, "resizing a disk")
            try await disks.resizeDisk(path, virtualSize: virtualSize)
        }
    }

    package func diskInfo(_ path: String, format: String) async throws -> DiskInfo {
        try await perform(.diskInfo) { try await disks.diskInfo(path, known: format) }
    }

    package func resizeDisk(_ path: String, format: String, virtualSize: UInt64) async throws {
        try await perform(.resizeDisk) {
            try require(.resizeDisks, "resizing a disk")
            try await disks.resizeDisk(path, known: format, virtualSize: virtualSize)
        }
    }

    package func copyDisk(_ source: String, format: String, to path: String, standalone: Bool) async throws {
        try await perform(.copyDisk) {
            try await disks.copyDisk(source, known: format, to: path, standalone: standalone)
        }
    }

    package func buildConfigDrive(_ files: [ConfigDriveFile], at path: String) async throws {
        try await perform(.buildConfigDrive) { try await disks.buildConfigDrive(files, at: path) }
    }

    package func exportRootDisk(_ uuid: InstanceUUID, to path: String, format: String) async throws -> DiskInfo {
        try await perform(.exportRootDisk, uuid) {
            let root = try find(uuid).read { state, _ in state.spec.disks.first { $0.role == .root } }
            guard let root else { throw BackendError(.invalidState, "machine \(uuid) has no root disk") }
            return try await disks.exportDisk(root.path, known: root.format, to: path, format: format)
        }
    }

    // MARK: Attachments

    package func attachDisk(_ disk: DiskAttachment, to uuid: InstanceUUID) async throws {
        try await perform(.attachDisk, uuid) {
            let machine = try find(uuid)
            _ = try await disks.diskInfo(disk.path, known: disk.format)
            try machine.update { state, _ throws(BackendError) in
                if state.spec.disks.contains(where: { $0.path == disk.path }) { return }
                if state.spec.disks.contains(where: { $0.address == disk.address }) {
                    throw BackendError(.invalidArgument, "the address of \(disk.path) is taken")
                }
                if state.guest.isConsoleUp { try self.require(.hotplugDisk, "attaching a disk to a running machine") }
                state.spec.disks.append(disk)
            }
            try await machine.save()
        }
    }

    package func detachDisk(path: String, from uuid: InstanceUUID) async throws {
        try await perform(.detachDisk, uuid) {
            let machine = try find(uuid)
            try machine.update { state, _ throws(BackendError) in state.spec.disks.removeAll { $0.path == path } }
            try await machine.save()
        }
    }

    package func attachInterface(_ interface: NetworkInterface, to uuid: InstanceUUID) async throws {
        try await perform(.attachInterface, uuid) {
            let machine = try find(uuid)
            try machine.update { state, _ throws(BackendError) in
                if let present = state.spec.interfaces.firstIndex(where: { $0.id == interface.id }) {
                    state.spec.interfaces[present] = interface
                    return
                }
                if state.guest.isConsoleUp {
                    try self.require(.hotplugNIC, "attaching an interface to a running machine")
                }
                state.spec.interfaces.append(interface)
            }
            try await machine.save()
        }
    }

    package func detachInterface(id: String, from uuid: InstanceUUID) async throws {
        try await perform(.detachInterface, uuid) {
            let machine = try find(uuid)
            try machine.update { state, _ throws(BackendError) in state.spec.interfaces.removeAll { $0.id == id } }
            try await machine.save()
        }
    }

    // MARK: Host side

    /// Volumes of type `file`: `device_path` or `path` names an existing file.
    package func connectVolume(_ volume: VolumeConnection) async throws -> String {
        try await perform(.connectVolume) {
            guard capabilities.volumeTypes.contains(volume.type) else {
                throw BackendError.unsupported("a volume of type \(volume.type)")
            }
            let data = volume.data.secret
            guard let path = (data["device_path"] ?? data["path"])?.stringValue else {
                throw BackendError(.invalidArgument, "volume \(volume.volumeID) has no device_path")
            }
            _ = try await disks.diskInfo(path, known: data["format"]?.stringValue ?? "raw")
            world.connect(.init(host: name, volumeID: volume.volumeID, path: path))
            return path
        }
    }

    package func disconnectVolume(_ volume: VolumeConnection) async throws {
        try await perform(.disconnectVolume) { world.disconnect(volume: volume.volumeID, at: name) }
    }

    package func plugInterface(_ interface: NetworkInterface, of uuid: InstanceUUID) async throws {
        try await perform(.plugInterface, uuid) {
            guard capabilities.networkTypes.contains(interface.type) else {
                throw BackendError.unsupported("an interface of type \(interface.type)")
            }
            world.plug(.init(host: name, uuid: uuid, interfaceID: interface.id))
        }
    }

    package func unplugInterface(_ interface: NetworkInterface, of uuid: InstanceUUID) async throws {
        try await perform(.unplugInterface, uuid) {
            world.unplug(.init(host: name, uuid: uuid, interfaceID: interface.id))
        }
    }

    // MARK: Console

    package func openConsole(_ uuid: InstanceUUID) async throws -> ConsoleEndpoint {
        try await perform(.openConsole, uuid) {
            try require(.consoleOutput, "console")
            return .descriptor(try find(uuid).openConsole())
        }
    }

    package func writeConsole(_ uuid: InstanceUUID, _ bytes: [UInt8]) async throws {
        try await perform(.writeConsole, uuid) {
            try require(.consoleInput, "console input")
            try find(uuid).update(savesLater: true) { state, now throws(BackendError) in
                guard state.guest.isConsoleUp else { throw state.refusal("type on the console of") }
                state.guest.type(bytes, at: now)
            }
        }
    }
}
