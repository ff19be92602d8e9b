import HostBackend

extension OperationError {
    /// Turns whatever a step of an operation threw into an error that clients know.
    ///
    /// - Parameters:
    ///   - failure: the class for a host that refused or failed this operation.
    ///   - identifier: the instance it was about, if any.
    ///   - host: the name of the host.
    init(_ error: any Error, failure: Code, instance identifier: String?, host: String) {
        switch error {
        case let error as OperationError:
            self = error
        case let error as BackendError:
            self.init(backend: error, failure: failure, instance: identifier, host: host)
        case is CancellationError:
            self.init(failure, "The operation was cancelled.", cause: error)
        default:
            self.init(failure, "\(error)", cause: error)
        }
    }

    private init(backend error: BackendError, failure: Code, instance identifier: String?, host: String) {
        switch error.code {
        case .notFound where identifier != nil && failure != .instanceDeployFailure:
            self = .notFound(identifier ?? "")
        case .unimplemented:
            self.init(.notImplemented, error.message, cause: error)
        case .unavailable:
            self.init(
                .hypervisorUnavailable,
                "Connection to the hypervisor is broken on host \(host): \(error.message)",
                details: ["host": host],
                cause: error
            )
        case .unauthorized:
            self.init(.forbidden, error.message, cause: error)
        default:
            self.init(
                failure,
                Self.text(failure, error.description),
                details: ["reason": error.description],
                cause: error
            )
        }
    }

    private static func text(_ code: Code, _ reason: String) -> String {
        switch code {
        case .instancePowerOffFailure: "Failed to power off instance: \(reason)"
        case .instancePowerOnFailure: "Failed to power on instance: \(reason)"
        case .instanceRebootFailure: "Failed to reboot instance: \(reason)"
        case .instanceSuspendFailure: "Failed to suspend instance: \(reason)"
        case .instanceResumeFailure: "Failed to resume instance: \(reason)"
        case .instanceTerminationFailure: "Failed to terminate instance: \(reason)"
        case .instanceDeployFailure: "Failed to deploy instance: \(reason)"
        case .migrationError: "Migration error: \(reason)"
        case .migrationPreCheckError: "Migration pre-check error: \(reason)"
        default: reason
        }
    }
}
