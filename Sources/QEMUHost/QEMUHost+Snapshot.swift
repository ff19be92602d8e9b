import DiskImages
package import HostBackend
import Support
import Synchronization

extension QEMUHost {
    /// Crash-consistent: what a guest has not flushed is not in it, as after a power cut. The machine's other operations
    /// wait meanwhile; ``cancelJobs(_:)`` stops it. On failure no file is left.
    package func exportRootDisk(_ uuid: InstanceUUID, to path: String, format: String) async throws -> DiskInfo {
        try await perform("snapshot", uuid) { machine in
            guard let root = machine.record.spec.disks.first(where: { $0.role == .root }) else {
                throw BackendError(.invalidState, "machine \(uuid) has no root disk")
            }
            if machine.state.withLock({ $0.isLingering }) || machine.process == nil {
                // Nobody writes to it.
                return try await disks.exportDisk(root.path, to: path, format: format)
            }
            let size = try await disks.diskInfo(root.path).virtualSize
            let request = DiskRequest(path: path, format: format, source: .blank, virtualSize: size)
            let made = try await disks.createDisk(request)
            do {
                try await machine.export(root, to: path, format: made.format)
                try await work.run { _ in try FileCalls.sync(path) }
                return try await disks.diskInfo(path)
            } catch {
                try? FileCalls.remove(path)
                throw error
            }
        }
    }
}
