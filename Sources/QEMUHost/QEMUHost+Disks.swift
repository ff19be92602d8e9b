import DiskImages
package import HostBackend
import ImageStore

/// Files are made by ``DiskImages``, whoever uses them then.
extension QEMUHost {
    package func image(_ reference: String) async throws -> ImageInfo {
        try await image(ImageRequest(reference))
    }

    package func image(_ request: ImageRequest) async throws -> ImageInfo {
        _ = try services()
        return try await images.image(request)
    }

    package func createDisk(_ request: DiskRequest) async throws -> DiskInfo {
        try await filing("making a disk") {
            if case .overlay(let image) = request.source, let user = try services().command.demotion?.user {
                try await work.run { _ in try MachineAccess.share(image.path, with: user) }
            }
            return try await disks.createDisk(request)
        }
    }

    package func diskInfo(_ path: String) async throws -> DiskInfo {
        try await filing("looking at a disk") { try await disks.diskInfo(path) }
    }

    package func resizeDisk(_ path: String, virtualSize: UInt64) async throws {
        try await filing("resizing a disk") { try await disks.resizeDisk(path, virtualSize: virtualSize) }
    }

    package func diskInfo(_ path: String, format: String) async throws -> DiskInfo {
        try await filing("looking at a disk") { try await disks.diskInfo(path, known: format) }
    }

    package func resizeDisk(_ path: String, format: String, virtualSize: UInt64) async throws {
        try await filing("resizing a disk") {
            try await disks.resizeDisk(path, known: format, virtualSize: virtualSize)
        }
    }

    package func copyDisk(_ source: String, format: String, to path: String, standalone: Bool) async throws {
        try await filing("copying a disk") {
            try await disks.copyDisk(source, known: format, to: path, standalone: standalone)
        }
    }

    package func buildConfigDrive(_ files: [ConfigDriveFile], at path: String) async throws {
        try await filing("building a config drive") { try await disks.buildConfigDrive(files, at: path) }
    }

    private func filing<Result>(_ what: String, _ body: () async throws -> Result) async throws -> Result {
        _ = try services()
        do { return try await body() } catch { throw Self.backendError(error, what) }
    }
}
