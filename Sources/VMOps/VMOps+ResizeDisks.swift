import HostBackend
import Logging
import Support

/// Disks of a resize: never smaller, and as they were when it is taken back (VM operations, section 9).
extension VMOps {
    /// What can be refused before anything happened.
    func checkSizes(_ instance: Instance, _ flavor: Flavor) async throws {
        let record = instance.record
        if let root = record.disks.first(where: { $0.role == .root }) {
            let size = try await backend.diskInfo(root.path, format: root.format).virtualSize
            let target = UInt64(flavor.rootGB) * RootDiskPlan.gigabyte
            if flavor.rootGB != record.rootGB, target < size {
                throw cannotResize("root disk has \(size) bytes, which cannot become \(target)")
            }
        }
        for (old, new) in zip(record.ephemeralGB, flavor.ephemeralGB) where new > 0 && new < old {
            throw cannotResize("ephemeral disk has \(old) GB, which cannot become \(new)")
        }
        guard backend.capabilities.has(.resizeDisks) || flavor.rootGB == record.rootGB else {
            throw OperationError.notImplemented("resizing disks is not supported by host \(host)")
        }
    }

    private func cannotResize(_ reason: String) -> OperationError {
        OperationError(
            .cannotResizeDisk,
            "Server disk was unable to be resized because: \(reason)",
            details: ["reason": reason]
        )
    }

    /// Gives the disks the sizes of `flavor`, where they have not got them yet. Only for a machine that is off, and by the
    /// host whose files they are.
    ///
    /// - Returns: the record with that flavor and those disks.
    func fitDisks(_ record: InstanceRecord, to flavor: Flavor) async throws -> InstanceRecord {
        var record = record
        if let root = record.disks.first(where: { $0.role == .root }), flavor.rootGB > 0 {
            try await enlarge(root, toGB: flavor.rootGB)
        }
        let ephemeral = record.disks.filter { $0.role == .ephemeral }
        if ephemeral.count == 1, let disk = ephemeral.first {
            if let size = flavor.ephemeralGB.first {
                try await enlarge(disk, toGB: size)
            } else {
                try await directory(record.uuid).remove(file: disk.name)
                record.disks.removeAll { $0 == disk }
            }
        } else if ephemeral.isEmpty, let size = flavor.ephemeralGB.first {
            let format = backend.capabilities.diskFormats.first ?? "raw"
            let path = directory(record.uuid).file("eph0.\(format)")
            // What an earlier attempt left.
            try await directory(record.uuid).remove(file: "eph0.\(format)")
            let bytes = UInt64(size) * RootDiskPlan.gigabyte
            let disk = DiskRequest(path: path, format: format, source: .blank, virtualSize: bytes)
            let info = try await backend.createDisk(disk)
            var addresses = DeviceAddresses(used: record.disks.map(\.address))
            let address = try addresses.ephemeral(0)
            record.disks.append(
                DiskAttachment(role: .ephemeral, path: info.path, format: info.format, address: address)
            )
        } else if ephemeral.count > 1, flavor.ephemeralGB != record.ephemeralGB {
            logger.warning("several ephemeral disks are not resized", metadata: ["instance": "\(record.uuid)"])
        }
        record.flavor = flavor
        return record
    }

    private func enlarge(_ disk: DiskAttachment, toGB size: Int) async throws {
        let target = UInt64(size) * RootDiskPlan.gigabyte
        guard try await backend.diskInfo(disk.path, format: disk.format).virtualSize < target else { return }
        try await backend.resizeDisk(disk.path, format: disk.format, virtualSize: target)
    }

    // MARK: The way back

    /// Copies the disks that will be written to aside, within the instance's directory; goes on where it was.
    func backUpDisks(_ record: InstanceRecord, _ transfer: String) async throws {
        let directory = directory(record.uuid)
        let backup = InstanceDirectory.backupPrefix + transfer
        try await directory.makeDirectory(backup)
        for disk in record.disks where [.root, .ephemeral].contains(disk.role) {
            guard try await !directory.contains("\(backup)/\(disk.name)") else { continue }
            let path = directory.file("\(backup)/\(disk.name)")
            try await backend.copyDisk(disk.path, format: disk.format, to: path, standalone: false)
        }
    }

    /// Puts the disks of ``backUpDisks(_:_:)`` back, each at once; those that are back already stay.
    func restoreDisks(_ uuid: InstanceUUID, _ transfer: String) async throws {
        try await directory(uuid).restore(InstanceDirectory.backupPrefix + transfer)
    }

    func dropBackup(_ uuid: InstanceUUID, _ transfer: String) async throws {
        try await directory(uuid).remove(file: InstanceDirectory.backupPrefix + transfer)
    }

    /// The instance's own files on their way to another host, those that are layers over an image made whole before.
    ///
    /// - Returns: what to send, and what to remove afterwards.
    func disksToSend(_ record: InstanceRecord, _ transfer: String) async throws -> (
        disks: [CarriedDisk], temporary: [String]
    ) {
        var disks: [CarriedDisk] = []
        var temporary: [String] = []
        for (number, disk) in record.disks.enumerated() where disk.role != .volume {
            guard disk.media == .disk, try await backend.diskInfo(disk.path, format: disk.format).backingFile != nil
            else {
                disks.append(CarriedDisk(number: number, path: disk.path))
                continue
            }
            let name = ".sending-\(transfer)-\(number)"
            temporary.append(name)
            let path = directory(record.uuid).file(name)
            if try await !directory(record.uuid).contains(name) {
                try await backend.copyDisk(disk.path, format: disk.format, to: path, standalone: true)
            }
            disks.append(CarriedDisk(number: number, path: path))
        }
        return (disks, temporary)
    }
}

extension DiskAttachment {
    /// The file's name within its directory.
    var name: String { String(path[(path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex)...]) }
}

extension InstanceDirectory {
    static let backupPrefix = ".revert-"
    /// How ``HostBackend`` names a disk that is being copied.
    private static let unfinished = ".partial-"

    func makeDirectory(_ name: String) async throws {
        try await BlockingPool.shared.run { try makeDirectories(file(name)) }
    }

    /// Moves the files of a directory in it to this one, over those of the same names, and removes it.
    func restore(_ backup: String) async throws {
        try await BlockingPool.shared.run {
            for name in try namesInDirectory(file(backup)) where !name.contains(Self.unfinished) {
                try move(file: "\(backup)/\(name)", to: name)
            }
            try removeTree(file(backup))
        }
    }

    /// Removes what a transfer left half sent or half arrived.
    func removeSent(_ names: [String]) async {
        for name in names { try? await remove(file: name) }
    }
}
