import DiskImages
import HostBackend
import Support
import Synchronization

/// Decides whether a file may be used as an image, and what it is. Every file counts as hostile until then.
struct ImageInspector: Sendable {
    struct Verdict: Sendable, Hashable {
        var format: DiskFormat
        var virtualSize: UInt64
    }

    /// Largest disk that an image may describe.
    let maximumVirtualSize: UInt64
    let disks: DiskImages

    /// Looks at the header, and has `qemu-img` look at the rest under limits unless the file is raw.
    ///
    /// - Throws: `invalidArgument` with the reason, without the name of the image.
    func inspect(_ path: String) async throws -> Verdict {
        let (format, size) = try await disks.work.run { _ in try Self.header(path) }
        var verdict = Verdict(format: format, virtualSize: size ?? 0)
        if format != .raw, disks.hasQemuImg || size == nil {
            let information = try await disks.untrustedInformation(path, format)
            let told = try Self.check(information, format)
            if format == .qcow2, told != size { throw Self.refused("its size is ambiguous") }
            verdict.virtualSize = told
        }
        guard verdict.virtualSize > 0 else { throw Self.refused("it is empty") }
        guard verdict.virtualSize <= maximumVirtualSize else {
            throw Self.refused(
                "it describes a disk of \(verdict.virtualSize) bytes, at most \(maximumVirtualSize) are taken"
            )
        }
        return verdict
    }

    /// Format and size by the header alone.
    private static func header(_ path: String) throws(BackendError) -> (DiskFormat, UInt64?) {
        let (header, _, backing) = try DiskImages.inspect(path)
        if backing != nil { throw refused("it refers to a backing file") }
        if header.isEncrypted { throw refused("it is encrypted") }
        if header.hasDataFile { throw refused("it refers to a data file") }
        switch header.format {
        case .qcow2:
            let prefix = try FileCalls.read(path, offset: 0, count: QcowHeader.prefixLength)
            let size = try FileCalls.status(path)?.size ?? 0
            do {
                return (.qcow2, try QcowHeader(prefix, fileSize: size).virtualSize)
            } catch {
                throw refused("it has, or is, what is not taken: \(error.message)")
            }
        case .vpc:
            let size = try FileCalls.status(path)?.size ?? 0
            let footer = try FileCalls.read(path, offset: size - min(size, 512), count: 512)
            // A differencing disk, type 4, is a layer over another file.
            guard footer.count == 512, footer[60..<63].allSatisfy({ $0 == 0 }), [2, 3].contains(footer[63]) else {
                throw refused("it is no fixed or dynamic VHD")
            }
            // What counts is what QEMU makes of sizes and geometry.
            return (.vpc, nil)
        case .vhdx: return (.vhdx, nil)
        case .raw: return (.raw, header.virtualSize)
        }
    }

    private static func check(_ information: JSONObject, _ format: DiskFormat) throws(BackendError) -> UInt64 {
        guard information["format"]?.stringValue == format.rawValue else { throw refused("its format is ambiguous") }
        let references = ["backing-filename", "full-backing-filename", "backing-filename-format"]
        if references.contains(where: { information[$0] != nil }) { throw refused("it refers to a backing file") }
        if information["encrypted"]?.boolValue == true { throw refused("it is encrypted") }
        let specific = information["format-specific"]?["data"]
        if specific?["data-file"] != nil || specific?["data-file-raw"]?.boolValue == true {
            throw refused("it refers to a data file")
        }
        if specific?["extents"] != nil { throw refused("it refers to extents") }
        if specific?["encrypt"] != nil { throw refused("it is encrypted") }
        if specific?["corrupt"]?.boolValue == true { throw refused("it is marked as corrupt") }
        guard let size = information["virtual-size"]?.intValue, size >= 0 else { throw refused("it has no size") }
        return UInt64(size)
    }

    private static func refused(_ reason: String) -> BackendError { BackendError(.invalidArgument, reason) }
}
