import ComputeRPC
package import OsloMessaging
package import RPCWorker

extension OperationRecovery: RequestRecovery {
    package func recover(_ request: RPCRequest) async -> RecoveryDecision {
        switch await decide(request) {
        case .run: .run
        case .finished(let value): .finished(value)
        case .failed(let failure): .failed(failure)
        }
    }
}
