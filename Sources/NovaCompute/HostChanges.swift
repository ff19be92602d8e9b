package import HostBackend
import Support
package import VMOps

/// Tells a ``ComputeService`` what happens on its host. Nothing is kept but what is still to be looked at: a signal that
/// comes while one like it waits is the same signal.
package final class HostChanges: OperationObserver {
    private static let mostMachines = 1024

    /// An operation has ended: what the host has left may be another amount.
    let resources: AsyncStream<Void>
    /// Machines that changed on their own. Of too many the oldest are left to the next comparison of all.
    let machines: AsyncStream<InstanceUUID>
    private let resourceSignal: AsyncStream<Void>.Continuation
    private let machineSignal: AsyncStream<InstanceUUID>.Continuation

    package init() {
        (resources, resourceSignal) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        (machines, machineSignal) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(Self.mostMachines))
    }

    /// Has the resources looked at.
    func lookAtResources() { resourceSignal.yield() }

    package func operationStarted(_ operation: String, _ record: InstanceRecord, context: OperationContext) {}

    package func operationEnded(
        _ operation: String,
        _ record: InstanceRecord,
        context: OperationContext,
        error: OperationError?
    ) {
        resourceSignal.yield()
    }

    package func machineChanged(_ event: MachineEvent, _ record: InstanceRecord) {
        machineSignal.yield(record.uuid)
        resourceSignal.yield()
    }
}
