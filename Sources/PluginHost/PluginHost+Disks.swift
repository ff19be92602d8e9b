package import HostBackend
import PluginProtocol
import Support

extension PluginHost {
    package func image(_ reference: String) async throws -> ImageInfo {
        try await image(ImageRequest(reference))
    }

    package func image(_ request: ImageRequest) async throws -> ImageInfo {
        try ImageInfo(try await ask(.imageGet, request.json))
    }

    package func createDisk(_ request: DiskRequest) async throws -> DiskInfo {
        if let slash = request.path.lastIndex(of: "/") { try await share(String(request.path[..<slash])) }
        return try DiskInfo(try await ask(.diskCreate, request.json))
    }

    package func diskInfo(_ path: String) async throws -> DiskInfo {
        try DiskInfo(try await ask(.diskInfo, ["path": .string(path)]))
    }

    package func resizeDisk(_ path: String, virtualSize: UInt64) async throws {
        _ = try await ask(.diskResize, ["path": .string(path), "virtual_size": .int(Int64(clamping: virtualSize))])
    }

    package func buildConfigDrive(_ files: [ConfigDriveFile], at path: String) async throws {
        if let slash = path.lastIndex(of: "/") { try await share(String(path[..<slash])) }
        _ = try await ask(.configDriveBuild, ["path": .string(path), "files": .array(files.map { .object($0.json) })])
    }

    // MARK: Devices

    package func attachDisk(_ disk: DiskAttachment, to uuid: InstanceUUID) async throws {
        var params = uuid.params
        params["disk"] = .object(disk.record)
        _ = try await ask(.machineAttachDisk, params)
    }

    package func detachDisk(path: String, from uuid: InstanceUUID) async throws {
        var params = uuid.params
        params["path"] = .string(path)
        _ = try await ask(.machineDetachDisk, params)
    }

    package func connectVolume(_ volume: VolumeConnection) async throws -> String {
        guard capabilities.volumeTypes.contains(volume.type) else {
            throw BackendError.unsupported("a volume of type \(volume.type)")
        }
        return try await ask(.volumeConnect, volume.json).string("path")
    }

    package func disconnectVolume(_ volume: VolumeConnection) async throws {
        guard capabilities.volumeTypes.contains(volume.type) else { return }
        _ = try await ask(.volumeDisconnect, volume.json)
    }

    package func attachInterface(_ interface: NetworkInterface, to uuid: InstanceUUID) async throws {
        _ = try await ask(.machineAttachInterface, params(uuid, interface))
    }

    package func detachInterface(id: String, from uuid: InstanceUUID) async throws {
        var params = uuid.params
        params["id"] = .string(id)
        _ = try await ask(.machineDetachInterface, params)
    }

    package func plugInterface(_ interface: NetworkInterface, of uuid: InstanceUUID) async throws {
        _ = try await ask(.networkPlug, params(uuid, interface))
    }

    package func unplugInterface(_ interface: NetworkInterface, of uuid: InstanceUUID) async throws {
        _ = try await ask(.networkUnplug, params(uuid, interface))
    }

    private func params(_ uuid: InstanceUUID, _ interface: NetworkInterface) -> JSONObject {
        var params = uuid.params
        params["interface"] = .object(interface.record)
        return params
    }

    /// Lets a plugin that runs as another user make files in an instance's directory.
    func share(_ directory: String) async throws {
        guard settings.shape != .socket, directory.hasPrefix(self.directory + "/instances/"),
            !directory.split(separator: "/").contains("..")
        else { return }
        let user: PluginUser?
        do throws(PluginError) {
            user = try launch.user()
        } catch {
            throw error.backendError
        }
        guard let user else { return }
        try await BlockingPool.shared.run { try user.share(directory) }
    }
}
