import ComputeRPC
import HostBackend
import Logging
import NovaObjects
import OpenStackAPI
import OsloMessaging
import Support
import VMOps

/// An image made of an instance (Nova's compute RPC, sections 1.2 and 5.3): the root disk is written to a file, and the
/// file sent to the image service, which has the image's record already.
extension NovaMethods {
    var snapshots: [RemoteMethod] {
        [
            mutating("snapshot_instance", ["instance", "image_id"]) { [self] arguments in
                let instance = try await instance(arguments)
                return try await carryOut(
                    arguments,
                    instance,
                    undo: { [self] in await dropImage(arguments) }
                ) {
                    try await snapshot(arguments, instance)
                }
            }
        ]
    }

    private static let states: [TaskState] = [
        .imageSnapshotPending, .imageSnapshot, .imagePendingUpload, .imageUploading,
    ]

    private func snapshot(_ arguments: NovaArguments, _ instance: NovaInstance) async throws -> JSONValue {
        guard let images = cloud.images else {
            throw OperationError.notImplemented("\(arguments.request.method) is not supported by host \(host)")
        }
        let id = try arguments.string("image_id")
        guard InstanceUUID(id) != nil else {
            throw Field("image_id", .string(id)).invalid("is not a UUID")
        }
        // Begun again after a crash, it may be in any of its states.
        guard try await step(.imageSnapshot, arguments, instance) else {
            await dropImage(arguments)
            return .null
        }
        let file = try await operations.snapshot(try uuid(instance), image: id, arguments.operation)
        do {
            guard try await step(.imagePendingUpload, arguments, instance),
                try await step(.imageUploading, arguments, instance)
            else {
                await dropImage(arguments)
                await drop(file.path)
                return .null
            }
            try await images.fill(id, from: file.path, format: file.format == "vpc" ? "vhd" : file.format)
        } catch {
            await drop(file.path)
            throw error
        }
        await drop(file.path)
        let info = try await operations.info(try uuid(instance))
        try await save(
            arguments,
            instance,
            ["task_state": .null, "power_state": .int(Int64(info.powerState))],
            expected: [.imageUploading]
        )
        return .null
    }

    /// - Returns: `false` when the instance has got another task, as being deleted: nobody wants the image any more.
    private func step(
        _ state: TaskState,
        _ arguments: NovaArguments,
        _ instance: NovaInstance
    ) async throws -> Bool {
        try await save(
            arguments,
            instance,
            ["task_state": .string(state.rawValue)],
            expected: Self.states
        ) == .saved
    }

    /// Removes an image that will never have a content: users would wait for it.
    private func dropImage(_ arguments: NovaArguments) async {
        guard let images = cloud.images, let id = arguments["image_id"]?.stringValue else { return }
        do {
            // One that has its content was there before this request.
            guard try await images.image(id)?["status"] != "active" else { return }
            try await images.delete(id)
        } catch {
            logger.warning("unfinished image not removed", metadata: ["image": "\(id)", "error": "\(error)"])
        }
    }

    /// The file has served its purpose.
    private func drop(_ path: String) async {
        do {
            // Awaited right here; unstructured only so that it is removed after a cancellation too.
            try await Task { try await BlockingPool.shared.run { try removeTree(path) } }.value
        } catch {
            logger.warning("file of an image not removed", metadata: ["path": "\(path)", "error": "\(error)"])
        }
    }
}
