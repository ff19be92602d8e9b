import Glibc
package import HostBackend
import Logging
import Support

extension VMOps {
    /// Writes the instance's root disk as a new image into the images directory; its state and console are left
    /// alone (VM operations, section 10.1).
    ///
    /// - Parameter image: the new image's id, already checked to be a plain file name.
    package func snapshot(_ uuid: InstanceUUID, image: String, _ context: OperationContext) async throws -> DiskInfo {
        let instance = try existing(uuid)
        let kind = OperationKind(name: "snapshot", state: nil, failure: .novaException)
        return try await perform(kind, on: instance, context) {
            let status = try await machine(uuid)
            switch TransitionTable.transition(.snapshot, in: status?.state) {
            case .proceed: break
            case .invalidState:
                throw OperationError.invalidState(
                    uuid.text,
                    state: status?.state.clientName ?? "absent",
                    method: "snapshot"
                )
            default: throw OperationError.notFound(uuid.text)
            }
            guard backend.capabilities.has(.checkpoint) else {
                throw OperationError.notImplemented("snapshot is not supported by host \(host)")
            }
            guard let root = instance.record.disks.first(where: { $0.role == .root }) else {
                throw OperationError(.instanceUnacceptable, "Instance \(uuid) has no root disk of its own.")
            }
            return try await export(uuid, image: image, format: root.format, context)
        }
    }

    /// The image appears under its name only when it is complete. It carries the request's id, by which a repetition
    /// after a crash knows it for its own.
    private func export(
        _ uuid: InstanceUUID,
        image: String,
        format: String,
        _ context: OperationContext
    ) async throws -> DiskInfo {
        let images = settings.imagesPath
        let final = "\(images)/\(image).\(format)"
        let partial = "\(images)/\(partialImagePrefix)\(image).\(UniqueID.make()).partial"
        try await BlockingPool.shared.run { try makeDirectories(images) }
        do {
            var info = try await backend.exportRootDisk(uuid, to: partial, format: format)
            try await BlockingPool.shared.run {
                if let key = context.requestKey { FileMark.put(key, on: partial) }
                // A link, for unlike a renaming it never replaces an image that disks may be based on.
                if link(partial, final) != 0 {
                    guard errno == EEXIST else { throw FileError("create", final) }
                    guard let key = context.requestKey, FileMark.read(final) == key else {
                        throw OperationError(
                            .imageUnacceptable,
                            "Image \(image) is unacceptable: there is one of that name",
                            details: ["image_id": image, "reason": "there is one of that name"]
                        )
                    }
                }
                try removeTree(partial)
            }
            info.path = final
            return info
        } catch {
            try? await BlockingPool.shared.run { try removeTree(partial) }
            throw error
        }
    }

    /// Names this host's unfinished images. The directory may be shared with other hosts, whose images may be in the
    /// making; the length tells one host's name from another that begins with it.
    private var partialImagePrefix: String { ".snapshot-\(host.utf8.count)-\(host)-" }

    /// Removes the images that an earlier worker was making when it died: their requests begin anew.
    func removePartialImages() async {
        let images = settings.imagesPath
        let prefix = partialImagePrefix
        do {
            try await BlockingPool.shared.run {
                guard access(images, F_OK) == 0 else { return }
                for name in try namesInDirectory(images) where name.hasPrefix(prefix) {
                    try removeTree("\(images)/\(name)")
                }
            }
        } catch {
            logger.warning("unfinished images not removed", metadata: ["path": "\(images)", "error": "\(error)"])
        }
    }
}
