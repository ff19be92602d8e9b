import HostBackend
import NovaObjects
import OsloMessaging
import Support
import VMOps

extension NovaMethods {
    /// A power operation: one cast, then one save (Nova's compute RPC, section 7.2).
    struct PowerOperation: Sendable {
        let method: String
        let state: VMState
        let expected: [TaskState?]
        let run: @Sendable (VMOps, InstanceUUID, NovaArguments, NovaSettings) async throws -> InstanceInfo
    }

    static let powerOperations: [PowerOperation] = [
        PowerOperation(method: "start_instance", state: .active, expected: [.poweringOn]) {
            operations,
            uuid,
            arguments,
            _ in
            try await operations.powerOn(uuid, arguments.operation)
        },
        PowerOperation(method: "stop_instance", state: .stopped, expected: [.poweringOff]) {
            operations,
            uuid,
            arguments,
            settings in
            let isClean = try arguments.bool("clean_shutdown", default: true)
            return try await operations.powerOff(
                uuid,
                timeout: isClean ? settings.shutdownTimeout : .zero,
                interval: settings.shutdownInterval,
                arguments.operation
            )
        },
        PowerOperation(
            method: "reboot_instance",
            state: .active,
            expected: [
                .rebooting, .rebootPending, .rebootStarted, .rebootingHard, .rebootPendingHard, .rebootStartedHard,
            ]
        ) { operations, uuid, arguments, _ in
            let type = try arguments.string("reboot_type")
            return try await operations.reboot(uuid, soft: type != "HARD", arguments.operation)
        },
        PowerOperation(method: "pause_instance", state: .paused, expected: [.pausing]) {
            operations,
            uuid,
            arguments,
            _ in
            try await operations.pause(uuid, arguments.operation)
        },
        PowerOperation(method: "unpause_instance", state: .active, expected: [.unpausing]) {
            operations,
            uuid,
            arguments,
            _ in
            try await operations.unpause(uuid, arguments.operation)
        },
        PowerOperation(method: "suspend_instance", state: .suspended, expected: [.suspending]) {
            operations,
            uuid,
            arguments,
            _ in
            try await operations.suspend(uuid, arguments.operation)
        },
        PowerOperation(method: "resume_instance", state: .active, expected: [.resuming]) {
            operations,
            uuid,
            arguments,
            _ in
            try await operations.resume(uuid, arguments.operation)
        },
    ]

    var power: [RemoteMethod] {
        Self.powerOperations.map { operation in
            let required = operation.method == "reboot_instance" ? ["instance", "reboot_type"] : ["instance"]
            return mutating(operation.method, required) { [self] arguments in
                let instance = try await instance(arguments)
                return try await carryOut(arguments, instance) {
                    let info = try await operation.run(operations, try uuid(instance), arguments, settings)
                    try await settle(operation, arguments, instance, info)
                    return .null
                }
            }
        }
    }

    /// Saves what a power operation has led to.
    func settle(
        _ operation: PowerOperation,
        _ arguments: NovaArguments,
        _ instance: NovaInstance,
        _ info: InstanceInfo
    ) async throws {
        try await save(
            arguments,
            instance,
            [
                "vm_state": .string(operation.state.rawValue), "power_state": .int(Int64(info.powerState)),
                "task_state": .null,
            ],
            expected: operation.expected
        )
    }
}
