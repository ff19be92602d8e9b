import ComputeRPC
import NovaCompute
import OsloMessaging
import RPCWorker

/// Asks whoever knows the interface that an interrupted request belongs to.
struct HostRecovery: RequestRecovery {
    let driver: OperationRecovery
    let nova: NovaRecovery?

    func recover(_ request: RPCRequest) async -> RecoveryDecision {
        let decision: OperationRecovery.Decision
        if let nova, NovaRecovery.concerns(request) {
            decision = await nova.decide(request)
        } else {
            decision = await driver.decide(request)
        }
        return switch decision {
        case .run: .run
        case .finished(let value): .finished(value)
        case .failed(let failure): .failed(failure)
        }
    }
}
