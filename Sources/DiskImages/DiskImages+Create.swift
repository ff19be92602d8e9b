package import HostBackend
import Support

extension DiskImages {
    /// Makes a disk file (VM operations, sections 6.4 and 6.5).
    ///
    /// - Throws: `alreadyExists` when there is a file; `invalidArgument` for a size below that of the source, for an
    ///   unknown format and for a layer in a format that cannot be one; `unimplemented` when a missing tool is needed;
    ///   `resourceExhausted` when there is no room.
    package func createDisk(_ request: DiskRequest) async throws -> DiskInfo {
        try Self.check(path: request.path)
        guard let format = DiskFormat(rawValue: request.format) else {
            throw BackendError(.invalidArgument, "unknown disk format \(request.format)")
        }
        let size = try Self.size(of: request)
        try await produce(request.path) { temporary in
            switch request.source {
            case .blank:
                try await makeBlank(temporary, format, size ?? 0)
            case .overlay(let image):
                guard format.canHaveBacking else {
                    throw BackendError(.invalidArgument, "a \(format.rawValue) disk cannot be a layer over an image")
                }
                try Self.check(path: image.path)
                let grown = size.map { [String($0)] } ?? []
                try await qemuImg(
                    ["create", "-q", "-f", format.rawValue, "-b", image.path, "-F", image.format, temporary] + grown
                )
            case .copy(let image):
                try await copy(image.path, image.format, to: temporary, format)
                if let size, size > image.virtualSize { try await enlarge(temporary, format, to: size) }
            }
        }
        return try await diskInfo(request.path)
    }

    /// Grows a disk that no running machine uses; the present size is fine, a smaller one `invalidArgument`.
    ///
    /// - Parameter known: the format on record, see ``diskInfo(_:known:)``.
    package func resizeDisk(_ path: String, known: String? = nil, virtualSize: UInt64) async throws {
        let info = try await diskInfo(path, known: known)
        let size = try Self.rounded(virtualSize)
        if size == info.virtualSize { return }
        guard size > info.virtualSize, let format = DiskFormat(rawValue: info.format) else {
            throw BackendError(
                .invalidArgument,
                "cannot shrink \(path) from \(info.virtualSize) to \(virtualSize) bytes"
            )
        }
        try await enlarge(path, format, to: size)
        try await work.run { _ in try FileCalls.sync(path) }
    }

    /// Writes a self-contained copy of the disk, backing files included, to a new file.
    ///
    /// - Parameter known: the source's format on record, see ``diskInfo(_:known:)``.
    package func exportDisk(
        _ source: String,
        known: String? = nil,
        to path: String,
        format name: String
    ) async throws -> DiskInfo {
        try Self.check(path: path)
        guard let format = DiskFormat(name: name) else {
            throw BackendError(.invalidArgument, "unknown disk format \(name)")
        }
        let info = try await diskInfo(source, known: known)
        try await produce(path) { temporary in
            if info.backingFile == nil {
                try await copy(source, info.format, to: temporary, format)
            } else {
                try await convert(source, info.format, to: temporary, format)
            }
        }
        return try await diskInfo(path, known: format.rawValue)
    }

    /// Copies a disk file as it is, layers included, to a new file; the two end up on different storage.
    package func copyDisk(_ source: String, to path: String) async throws {
        try Self.check(path: source)
        try await produce(path) { temporary in
            try await work.run { try FileCalls.copySparse(source, to: temporary, $0) }
        }
    }

    /// The same, or a copy that stands for itself in the same format.
    ///
    /// - Parameter known: the format on record, see ``diskInfo(_:known:)``.
    package func copyDisk(_ source: String, known: String, to path: String, standalone: Bool) async throws {
        if standalone, try await diskInfo(source, known: known).backingFile != nil {
            _ = try await exportDisk(source, known: known, to: path, format: known)
        } else {
            try await copyDisk(source, to: path)
        }
    }

    // MARK: - Steps

    /// Lets `body` make the file under a temporary name, then syncs and renames it.
    func produce(_ path: String, _ body: (_ temporary: String) async throws -> Void) async throws {
        try Self.check(path: path)
        if try await work.run({ _ in try FileCalls.status(path) }) != nil {
            throw BackendError(.alreadyExists, "\(path) exists already")
        }
        let temporary = path + ".partial-" + UniqueID.make()
        do {
            try await body(temporary)
            try await work.run { _ in
                try FileCalls.sync(temporary)
                try FileCalls.rename(temporary, to: path)
                try FileCalls.syncDirectory(of: path)
            }
        } catch {
            // Not through `work`, which may be asked in vain by a cancelled task: removing one file is short.
            try? FileCalls.remove(temporary)
            throw error
        }
    }

    private func makeBlank(_ path: String, _ format: DiskFormat, _ size: UInt64) async throws {
        switch format {
        case .raw:
            try await work.run { _ in try FileCalls.createSparse(path, size: size) }
        case .vpc:
            // Without it the size is rounded up to a geometry of cylinders.
            try await qemuImg(["create", "-q", "-f", "vpc", "-o", "force_size=on", path, String(size)])
        case .qcow2, .vhdx:
            try await qemuImg(["create", "-q", "-f", format.rawValue, path, String(size)])
        }
    }

    private func copy(_ source: String, _ format: String, to path: String, _ target: DiskFormat) async throws {
        if format == target.rawValue {
            try await work.run { try FileCalls.copySparse(source, to: path, $0) }
        } else {
            try await convert(source, format, to: path, target)
        }
    }

    private func convert(_ source: String, _ format: String, to path: String, _ target: DiskFormat) async throws {
        let options = target == .vpc ? ["-o", "force_size=on"] : []
        try await qemuImg(
            ["convert", "-q", "-U", "-f", format, "-O", target.rawValue] + options + [source, path],
            deadline: settings.copyDeadline
        )
    }

    private func enlarge(_ path: String, _ format: DiskFormat, to size: UInt64) async throws {
        switch format {
        case .raw: try await work.run { _ in try FileCalls.grow(path, to: size) }
        case .qcow2: try await qemuImg(["resize", "-q", "-f", "qcow2", path, String(size)])
        case .vpc, .vhdx: throw BackendError.unsupported("resizing a \(format.rawValue) disk")
        }
    }

    private func qemuImg(_ arguments: [String], deadline: Duration? = nil) async throws {
        _ = try await tools.run(qemuImg, arguments, deadline: deadline ?? settings.shortDeadline)
    }

    private static func size(of request: DiskRequest) throws(BackendError) -> UInt64? {
        let wanted: UInt64?
        if let size = request.virtualSize { wanted = try rounded(size) } else { wanted = nil }
        switch request.source {
        case .blank:
            guard wanted != nil else { throw BackendError(.invalidArgument, "a blank disk needs a size") }
        case .overlay(let image), .copy(let image):
            if let wanted, wanted < image.virtualSize {
                throw BackendError(
                    .invalidArgument,
                    "the disk would have \(wanted) bytes, its image has \(image.virtualSize)"
                )
            }
        }
        return wanted
    }

    /// Whole sectors, within the bound.
    private static func rounded(_ size: UInt64) throws(BackendError) -> UInt64 {
        guard size > 0, size <= maximumSize else {
            throw BackendError(.invalidArgument, "a disk cannot have \(size) bytes")
        }
        return (size + 511) / 512 * 512
    }
}
