package import HostBackend
import Support
import Synchronization

/// What a control plane wants to know before anything is done.
extension VMOps {
    /// Throws when an instance cannot come from another host, or be resized on this one, for reasons that can be told
    /// without asking its host to give it away. A source that does not answer now is no such reason.
    ///
    /// - Parameters:
    ///   - source: where it is; it may be this host.
    ///   - memoryMB: what it is to have.
    package func requireRoom(for uuid: InstanceUUID, from source: String, memoryMB: Int) async throws {
        guard backend.capabilities.has(.coldMigration) else {
            throw OperationError.notImplemented("cold migration is not supported by host \(host)")
        }
        do {
            let info = try await backend.hostInfo()
            guard memoryMB <= info.memoryMB else {
                throw preCheckError("host \(host) has \(info.memoryMB) MB of memory, \(memoryMB) are needed")
            }
        } catch {
            throw OperationError(error, failure: .migrationPreCheckError, instance: nil, host: host)
        }
        guard source != host else { return }
        if let present = instance(uuid), !present.isGone, present.record.complete {
            throw OperationError.exists(present.record.name)
        }
        do {
            _ = try await peers.peer(source).presentInfo(uuid)
        } catch let error as OperationError where error.code == .notImplemented {
            throw preCheckError("host \(source) is of another kind")
        } catch is OperationError {
            // It is asked again when the instance is to leave.
        }
    }

    /// Whether there is nothing here of an instance whose making failed.
    package func isAbsent(_ uuid: InstanceUUID) async -> Bool {
        guard instance(uuid) == nil else { return false }
        do {
            return try await machine(uuid) == nil
        } catch {
            return false
        }
    }
}
