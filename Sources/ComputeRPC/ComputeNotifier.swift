package import HostBackend
package import OsloMessaging
package import Support
package import VMOps

/// Turns what happens to instances into notifications under Nova's names: `instance.power_on.start`, `….end`,
/// `….error` (oslo.messaging wire, section 12).
package struct ComputeNotifier: OperationObserver {
    /// Takes a notification to be sent; must not wait.
    package typealias Publish =
        @Sendable (
            _ priority: Notification.Priority,
            _ eventType: String,
            _ payload: JSONValue,
            _ context: JSONObject
        ) -> Void

    private let host: String
    private let publish: Publish

    package init(host: String, publish: @escaping Publish) {
        self.host = host
        self.publish = publish
    }

    package func operationStarted(_ operation: String, _ record: InstanceRecord, context: OperationContext) {
        publish(.info, Self.eventType(operation, "start"), payload(record, context), context.caller)
    }

    package func operationEnded(
        _ operation: String,
        _ record: InstanceRecord,
        context: OperationContext,
        error: OperationError?
    ) {
        var payload = payload(record, context)
        guard let error else {
            return publish(.info, Self.eventType(operation, "end"), payload, context.caller)
        }
        if case .object(var object) = payload {
            object["fault"] = [
                "exception": .string(error.code.className),
                "module_name": .string(error.code.module),
                "exception_message": .string(error.message),
            ]
            payload = .object(object)
        }
        publish(.error, Self.eventType(operation, "error"), payload, context.caller)
    }

    package func machineChanged(_ event: MachineEvent, _ record: InstanceRecord) {
        publish(.info, "instance.update", payload(record, OperationContext()), [:])
    }

    /// Nova's word for the operation.
    static func eventType(_ operation: String, _ phase: String) -> String {
        let action =
            switch operation {
            case "spawn": "create"
            case "destroy": "delete"
            case "attach_volume": "volume_attach"
            case "detach_volume": "volume_detach"
            case "attach_interface": "interface_attach"
            case "detach_interface": "interface_detach"
            default: operation
            }
        return "instance.\(action).\(phase)"
    }

    private func payload(_ record: InstanceRecord, _ context: OperationContext) -> JSONValue {
        [
            "uuid": .string(record.uuid.text),
            "display_name": .string(record.name),
            "host": .string(host),
            "node": .string(host),
            "state": .string(record.state.clientName),
            "power_state": .int(Int64(record.state.novaPowerState)),
            "memory_mb": .int(Int64(record.memoryMB)),
            "vcpus": .int(Int64(record.vcpus)),
            "image_uuid": record.imageRef.map(JSONValue.string) ?? .null,
            "request_id": context.requestID.map(JSONValue.string) ?? .null,
        ]
    }
}
