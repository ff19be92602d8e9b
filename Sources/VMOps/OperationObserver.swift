package import HostBackend
package import Support

/// Hears of operations as they start and end, for notifications. Called in order per instance; must not wait.
package protocol OperationObserver: Sendable {
    func operationStarted(_ operation: String, _ record: InstanceRecord, context: OperationContext)
    func operationEnded(
        _ operation: String,
        _ record: InstanceRecord,
        context: OperationContext,
        error: OperationError?
    )
    /// The guest or the host changed the machine's state on its own.
    func machineChanged(_ event: MachineEvent, _ record: InstanceRecord)
}

/// Who asked, as far as an operation is concerned.
package struct OperationContext: Sendable, Hashable {
    /// The `_unique_id` of the request.
    package var requestKey: String?
    /// The request id that operators search logs for.
    package var requestID: String?
    /// The request's context, for those who are told of the operation.
    package var caller: JSONObject

    package init(requestKey: String? = nil, requestID: String? = nil, caller: JSONObject = [:]) {
        self.requestKey = requestKey
        self.requestID = requestID
        self.caller = caller
    }
}

/// Hears nothing.
package struct SilentObserver: OperationObserver {
    package init() {}
    package func operationStarted(_ operation: String, _ record: InstanceRecord, context: OperationContext) {}
    package func operationEnded(
        _ operation: String,
        _ record: InstanceRecord,
        context: OperationContext,
        error: OperationError?
    ) {}
    package func machineChanged(_ event: MachineEvent, _ record: InstanceRecord) {}
}

/// Tells several, one after the other.
package struct ObserverGroup: OperationObserver {
    private let members: [any OperationObserver]

    package init(_ members: [any OperationObserver]) { self.members = members }

    package func operationStarted(_ operation: String, _ record: InstanceRecord, context: OperationContext) {
        for member in members { member.operationStarted(operation, record, context: context) }
    }

    package func operationEnded(
        _ operation: String,
        _ record: InstanceRecord,
        context: OperationContext,
        error: OperationError?
    ) {
        for member in members { member.operationEnded(operation, record, context: context, error: error) }
    }

    package func machineChanged(_ event: MachineEvent, _ record: InstanceRecord) {
        for member in members { member.machineChanged(event, record) }
    }
}
