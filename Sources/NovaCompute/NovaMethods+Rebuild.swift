import ComputeRPC
import HostBackend
import Logging
import NovaObjects
import OpenStackAPI
import OsloMessaging
import Support
import VMOps

/// `rebuild_instance`: an instance made anew where it is, or taken over from a host that is gone (Nova's compute RPC,
/// section 1.2; the latter in ``evacuate(_:_:)``).
extension NovaMethods {
    var rebuilds: [RemoteMethod] {
        [
            mutating("rebuild_instance", ["instance"], hidden: ["new_pass", "injected_files"]) { [self] arguments in
                let instance = try await instance(arguments)
                if try arguments.bool("recreate", default: false) { return try await evacuate(arguments, instance) }
                return try await carryOut(arguments, instance, failure: .error) {
                    try await rebuild(arguments, instance)
                    return .null
                }
            }
        ]
    }

    private func rebuild(_ arguments: NovaArguments, _ instance: NovaInstance) async throws {
        let uuid = try uuid(instance)
        for option in ["preserve_ephemeral", "reimage_boot_volume"] where try arguments.bool(option, default: false) {
            throw OperationError.notImplemented("\(option) is not supported by host \(host)")
        }
        let present = try await operations.presentInfo(uuid)
        let power: JSONObject = ["power_state": .int(Int64(present?.powerState ?? 0))]
        guard try await advance(to: .rebuilding, arguments, instance, power),
            try await advance(to: .rebuildBlockDeviceMapping, arguments, instance),
            try await advance(to: .rebuildSpawning, arguments, instance)
        else { return }
        var request = try spawnRequest(
            arguments,
            instance,
            nil,
            image: try await rebuildImage(arguments, instance),
            password: arguments["new_pass"]?.stringValue
        )
        let state: VMState = instance.vmState == .stopped ? .stopped : .active
        request.powerOn = state == .active
        let info: InstanceInfo
        if present != nil {
            info = try await operations.rebuild(
                request,
                timeout: settings.shutdownTimeout,
                interval: settings.shutdownInterval,
                arguments.operation
            )
        } else {
            // Lost here: all that there is of it is what the request says.
            info = try await operations.spawn(request, arguments.operation)
        }
        // Whoever has given it another task meanwhile sends a request for that too.
        try await save(arguments, instance, rebuilt(info, state), expected: [.rebuildSpawning])
    }

    /// Writes down how far a rebuild is. Taken up again after a crash, it may have been at any of its states.
    ///
    /// - Returns: `false` when the instance has got another task, as being deleted, or none.
    func advance(
        to state: TaskState,
        _ arguments: NovaArguments,
        _ instance: NovaInstance,
        _ changes: JSONObject = [:]
    ) async throws -> Bool {
        var changes = changes
        changes["task_state"] = .string(state.rawValue)
        return try await save(arguments, instance, changes, expected: TaskState.rebuilds) == .saved
    }

    /// What is saved at the end.
    func rebuilt(_ info: InstanceInfo, _ state: VMState) -> JSONObject {
        [
            "vm_state": .string(state.rawValue), "power_state": .int(Int64(info.powerState)), "task_state": .null,
            "launched_at": .string(NovaTime.now),
        ]
    }

    /// What is known of the image that the instance is made from; `nil` when it has none.
    func rebuildImage(_ arguments: NovaArguments, _ instance: NovaInstance) async throws -> JSONValue? {
        let wanted = arguments["image_ref"]?.stringValue ?? instance.object["image_ref"]?.stringValue
        guard let id = wanted, !id.isEmpty else { return nil }
        if let image = try arguments.object("request_spec")?.object("image"), image["id"]?.stringValue == id {
            return image.primitive
        }
        // With another image the scheduler's description may still be the former one's.
        guard let known = try await cloud.images?.image(id) else { return ["id": .string(id)] }
        return .object(known)
    }
}
