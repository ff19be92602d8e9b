import DiskImages
import HostBackend
import ImageStore
import JSONCodec
import Support

/// Disks of machines that come and go without shared storage (QEMU backend, section 7.2).
extension QEMUHost {
    /// The disks that the destination needs a copy of: all but volumes, which it connects itself.
    func disksToCopy(_ spec: MachineSpec) async throws -> [TravellingMachine.Disk] {
        var disks: [TravellingMachine.Disk] = []
        for disk in spec.disks where disk.role != .volume {
            let info = try await self.disks.diskInfo(disk.path, known: disk.format)
            var base: BaseImage?
            if let path = info.backingFile {
                let image = try await self.disks.diskInfo(path)
                base = try await work.run { _ in
                    try FileCalls.status(path).map { file in
                        BaseImage(
                            path: path,
                            format: image.format,
                            size: image.virtualSize,
                            fileSize: file.size,
                            inode: file.inode,
                            modified: file.modified,
                            sha256: try Self.digest(path)
                        )
                    }
                }
                // A layer over a layer is copied with all that is below.
                if image.backingFile != nil { base = nil }
            }
            disks.append(
                TravellingMachine.Disk(
                    node: disk.nodeName,
                    format: disk.format,
                    size: info.virtualSize,
                    base: base
                )
            )
        }
        return disks
    }

    /// Makes empty disks for what will come, each a layer over its image if that is here.
    ///
    /// - Returns: the nodes' names of those that are layers.
    func makeDisks(_ spec: MachineSpec, _ travelling: [TravellingMachine.Disk]) async throws -> [String] {
        var layers: [String] = []
        for wanted in travelling {
            guard let disk = spec.disks.first(where: { $0.nodeName == wanted.node }), disk.role != .volume,
                disk.path.hasPrefix(spec.directory + "/"), disk.format == wanted.format
            else { throw BackendError(.invalidArgument, "the machine has no disk \(wanted.node) to be copied") }
            try await work.run { _ in try FileCalls.remove(disk.path) }
            var source = DiskSource.blank
            if let base = wanted.base, let path = try await find(base) {
                source = .overlay(
                    ImageInfo(reference: base.name, path: path, format: base.format, virtualSize: base.size)
                )
                layers.append(wanted.node)
            }
            _ = try await createDisk(
                DiskRequest(path: disk.path, format: disk.format, source: source, virtualSize: wanted.size)
            )
        }
        return layers
    }

    /// This host's copy of an image that another host has, if it is certainly the same.
    ///
    /// That is the very file, in a shared directory, or a fetched one with the same checksum. Any other copy might
    /// differ, and a disk over it would be damaged.
    private func find(_ base: BaseImage) async throws -> String? {
        let settings = images.settings
        let candidates = [settings.cacheDirectory, settings.directory].map { $0 + "/" + base.name } + [base.path]
        return try await work.run { _ in
            try candidates.first { path in
                guard let file = try FileCalls.status(path), file.isRegular, file.size == base.fileSize else {
                    return false
                }
                if file.inode == base.inode, file.modified == base.modified { return true }
                guard let sha256 = base.sha256 else { return false }
                return try Self.digest(path) == sha256
            }
        }
    }

    /// The checksum that is written down beside a fetched image. Blocks.
    private static func digest(_ image: String) throws(BackendError) -> String? {
        guard let dot = image.lastIndex(of: ".") else { return nil }
        let record = image[..<dot] + ".json"
        guard try FileCalls.status(String(record)) != nil else { return nil }
        let text = try FileCalls.read(String(record), offset: 0, count: 64 << 10)
        return (try? JSONReader.read(text))?["checksums"]?["sha256"]?.stringValue
    }
}
