import DiskImages
import Glibc
package import HostBackend
import Support

extension QEMUHost {
    /// Files and block devices of the host.
    static let volumeTypes: Set<String> = ["file", "local"]

    package func attachDisk(_ disk: DiskAttachment, to uuid: InstanceUUID) async throws {
        try await perform("attaching a disk", uuid) { try await $0.attach(disk) }
    }

    package func detachDisk(path: String, from uuid: InstanceUUID) async throws {
        try await perform("detaching a disk", uuid) { try await $0.detach(diskAt: path) }
    }

    package func attachInterface(_ interface: NetworkInterface, to uuid: InstanceUUID) async throws {
        try await perform("attaching an interface", uuid) { try await $0.attach(interface) }
    }

    package func detachInterface(id: String, from uuid: InstanceUUID) async throws {
        try await perform("detaching an interface", uuid) { try await $0.detach(interfaceWith: id) }
    }

    package func plugInterface(_ interface: NetworkInterface, of uuid: InstanceUUID) async throws {
        do {
            try await services().network.plug(interface, of: uuid)
        } catch {
            throw Self.backendError(error, "plugging interface \(interface.id) of machine \(uuid)")
        }
    }

    package func unplugInterface(_ interface: NetworkInterface, of uuid: InstanceUUID) async throws {
        do {
            try await services().network.unplug(interface, of: uuid)
        } catch {
            throw Self.backendError(error, "unplugging interface \(interface.id) of machine \(uuid)")
        }
    }

    /// Volumes of type `file` and `local`: `device_path` or `path` names a file or a block device that is there.
    ///
    /// - Returns: its path without symbolic links, which may lead elsewhere tomorrow.
    package func connectVolume(_ volume: VolumeConnection) async throws -> String {
        _ = try services()
        guard Self.volumeTypes.contains(volume.type) else {
            throw BackendError.unsupported("a volume of type \(volume.type)")
        }
        let data = volume.data.secret
        guard let path = (data["device_path"] ?? data["path"])?.stringValue, path.hasPrefix("/"),
            !path.utf8.contains(0)
        else {
            throw BackendError(.invalidArgument, "volume \(volume.volumeID) has no absolute device_path")
        }
        let format = data["format"]?.stringValue ?? "raw"
        guard let known = DiskFormat(name: format) else {
            throw BackendError(.invalidArgument, "volume \(volume.volumeID) has the unknown format \(format)")
        }
        do {
            let place = try await work.run { _ in try VolumePlace.resolve(path) }
            if known != .raw { try await check(volume, place, known) }
            return place
        } catch {
            throw Self.backendError(error, "connecting volume \(volume.volumeID)")
        }
    }

    /// Nothing was done to the host for it.
    package func disconnectVolume(_ volume: VolumeConnection) async throws {}

    /// A header may name files that are none of the guest's business.
    private func check(_ volume: VolumeConnection, _ path: String, _ format: DiskFormat) async throws {
        let info = try await disks.diskInfo(path)
        guard info.format == format.rawValue else {
            throw BackendError(.invalidArgument, "volume \(volume.volumeID) is \(info.format), not \(format.rawValue)")
        }
        guard info.backingFile == nil else {
            throw BackendError(.invalidArgument, "volume \(volume.volumeID) refers to a backing file")
        }
    }
}

/// Where a volume really is. Blocks.
enum VolumePlace {
    static func resolve(_ path: String) throws(BackendError) -> String {
        guard let resolved = realpath(path, nil) else {
            throw BackendError(.notFound, "\(SystemCallError("realpath", errno, path: path))")
        }
        defer { free(resolved) }
        let place = String(cString: resolved)
        var information = stat()
        guard stat(place, &information) == 0 else {
            throw BackendError(.notFound, "\(SystemCallError("stat", errno, path: place))")
        }
        // QEMU has a driver for each, chosen by the path.
        let isBelowDevices = place.hasPrefix("/dev/") && !place.hasPrefix("/dev/shm/")
        switch (information.st_mode & S_IFMT, isBelowDevices) {
        case (S_IFREG, false), (S_IFBLK, true): return place
        default: throw BackendError(.invalidArgument, "\(place) is neither a file nor a block device below /dev")
        }
    }
}
