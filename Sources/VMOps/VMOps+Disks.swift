import HostBackend
import Support

/// The disks of an instance being built (VM operations, sections 6.4 to 6.7).
extension VMOps {
    /// Makes root, ephemeral and config drive files, connects the volumes, and gives each its address.
    func makeDisks(
        _ request: SpawnRequest,
        _ directory: InstanceDirectory,
        _ undo: inout Undo
    ) async throws -> [DiskAttachment] {
        var addresses = DeviceAddresses()
        let names = DiskNames()
        var disks = try await makeLocalDisks(request, directory, names, &addresses)
        for volume in request.volumes {
            let address = try addresses.volume(boot: volume.isBootVolume)
            disks.append(try await connect(volume, at: address, &undo))
        }
        if let drive = try await makeConfigDrive(request, directory, names, &addresses) { disks.append(drive) }
        return disks
    }

    /// Makes root and ephemeral disks.
    func makeLocalDisks(
        _ request: SpawnRequest,
        _ directory: InstanceDirectory,
        _ names: DiskNames,
        _ addresses: inout DeviceAddresses
    ) async throws -> [DiskAttachment] {
        var disks: [DiskAttachment] = []
        if !request.volumes.contains(where: \.isBootVolume),
            let root = try await makeRoot(request, directory, names)
        {
            disks.append(
                DiskAttachment(role: .root, path: root.path, format: root.format, address: addresses.root())
            )
        }
        let format = backend.capabilities.diskFormats.first ?? "raw"
        for (number, size) in request.ephemeralGB.enumerated() where size > 0 {
            let disk = DiskRequest(
                path: directory.file(names.ephemeral(number, format)),
                format: format,
                source: .blank,
                virtualSize: UInt64(size) * RootDiskPlan.gigabyte
            )
            let info = try await backend.createDisk(disk)
            disks.append(
                DiskAttachment(
                    role: .ephemeral,
                    path: info.path,
                    format: info.format,
                    address: try addresses.ephemeral(number)
                )
            )
        }
        return disks
    }

    private func makeRoot(
        _ request: SpawnRequest,
        _ directory: InstanceDirectory,
        _ names: DiskNames
    ) async throws -> DiskInfo? {
        let image = try await image(request, directory)
        let plan = try RootDiskPlan.plan(
            image: image,
            rootGB: request.rootGB,
            copyOnWrite: settings.useCopyOnWriteImages,
            capabilities: backend.capabilities
        )
        guard let plan else { return nil }
        return try await backend.createDisk(
            DiskRequest(
                path: directory.file(names.root(plan.format)),
                format: plan.format,
                source: plan.source,
                virtualSize: plan.virtualSize
            )
        )
    }

    private func image(_ request: SpawnRequest, _ directory: InstanceDirectory) async throws -> ImageInfo? {
        guard let reference = request.imageRef, !reference.isEmpty else { return nil }
        var wanted = request.imageDetails ?? ImageRequest(reference)
        wanted.reference = reference
        wanted.user = directory.path
        let shown = CredentialMask.masking(reference)
        do {
            return try await backend.image(wanted)
        } catch let error as BackendError where error.code == .notFound {
            throw OperationError(
                .imageNotFound,
                "Image \(shown) could not be found.",
                details: ["image_id": shown],
                cause: error
            )
        } catch let error as BackendError where error.code == .unauthorized {
            throw OperationError(
                .imageNotAuthorized,
                "Not authorized for image \(shown): \(error.message)",
                details: ["image_id": shown],
                cause: error
            )
        } catch let error as BackendError
            where [.timeout, .resourceExhausted, .busy, .internal].contains(error.code)
        {
            throw OperationError(
                .couldNotFetchImage,
                "Could not fetch image \(shown): \(error.description)",
                details: ["image_id": shown, "reason": error.description],
                cause: error
            )
        } catch let error as BackendError where error.code == .invalidArgument {
            throw OperationError(
                .imageUnacceptable,
                "Image \(shown) is unacceptable: \(error.message)",
                details: ["image_id": shown, "reason": error.message],
                cause: error
            )
        }
    }

    private func connect(
        _ volume: VolumeConnection,
        at address: DeviceAddress,
        _ undo: inout Undo
    ) async throws -> DiskAttachment {
        // First, for a failure may be no more than a lost answer.
        undo.add("disconnect volume") { try await self.backend.disconnectVolume(volume) }
        let path = try await connectVolume(volume)
        return volumeAttachment(volume, path: path, address: address)
    }

    /// Connects what the instance has attached; the disks of the record returned are where this host sees them.
    func connectVolumes(of record: InstanceRecord) async throws -> InstanceRecord {
        var record = record
        for volume in record.volumes {
            let path = try await connectVolume(volume)
            for index in record.disks.indices where record.disks[index].identifier == volume.volumeID {
                record.disks[index].path = path
            }
        }
        return record
    }

    func connectVolume(_ volume: VolumeConnection) async throws -> String {
        guard backend.capabilities.volumeTypes.contains(volume.type) else {
            throw OperationError(
                .volumeDriverNotFound,
                "Could not find a handler for \(volume.type) volume.",
                details: ["driver_type": volume.type]
            )
        }
        try checkPaths(of: volume)
        do {
            return try await backend.connectVolume(volume)
        } catch {
            throw OperationError(error, failure: .volumeAttachFailed, instance: nil, host: host)
        }
    }

    /// Who may send messages may not thereby read any file of this machine: what a connection names must lie where the
    /// operator keeps volumes. Symbolic links there are the operator's own and followed, as those below `/dev/disk`.
    private func checkPaths(of volume: VolumeConnection) throws {
        for key in ["device_path", "path"] {
            guard let path = volume.data.secret[key]?.stringValue else { continue }
            let parts = path.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
            let isClean =
                path.hasPrefix("/") && path.utf8.count < 4096 && parts.allSatisfy { !["", ".", ".."].contains($0) }
                && path.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
            let allowed = settings.volumePaths
            guard isClean, allowed.isEmpty || allowed.contains(where: { path.hasPrefix($0 + "/") }) else {
                throw OperationError(
                    .invalidInput,
                    "Invalid input received: connection_info.data.\(key) is not below a directory of volumes",
                    details: ["reason": "connection_info.data.\(key) is not below a directory of volumes"]
                )
            }
        }
    }

    func volumeAttachment(_ volume: VolumeConnection, path: String, address: DeviceAddress) -> DiskAttachment {
        DiskAttachment(
            role: .volume,
            path: path,
            format: volume.data.secret["format"]?.stringValue ?? "raw",
            address: address,
            identifier: volume.volumeID
        )
    }

    /// - Returns: `nil` when the instance gets none.
    func makeConfigDrive(
        _ request: SpawnRequest,
        _ directory: InstanceDirectory,
        _ names: DiskNames,
        _ addresses: inout DeviceAddresses
    ) async throws -> DiskAttachment? {
        guard request.configDrive || settings.forceConfigDrive else { return nil }
        guard settings.configDriveFormat == "iso9660", backend.capabilities.has(.configDriveISO) else {
            throw OperationError(
                .configDriveUnsupportedFormat,
                "Config drive format '\(settings.configDriveFormat)' is not supported.",
                details: ["format": settings.configDriveFormat]
            )
        }
        let path = directory.file(names.configDrive)
        try await backend.buildConfigDrive(request.configDriveFiles.secret, at: path)
        let address = addresses.configDrive()
        return DiskAttachment(role: .configDrive, media: .cdrom, path: path, format: "raw", address: address)
    }
}
