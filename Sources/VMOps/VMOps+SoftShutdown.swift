import HostBackend
import Logging

/// How long a guest gets to shut itself down, and how often it is asked.
struct ShutdownBudget {
    var timeout: Duration
    var interval: Duration
}

extension VMOps {
    /// Asks the guest to shut down (VM operations, section 6.11).
    ///
    /// - Returns: whether the machine is off; `false` = turn it off.
    /// - Throws: `failure` when a later request cut the wait short; `InstanceNotFound` when the machine is gone.
    func softShutdown(
        _ instance: Instance,
        _ budget: ShutdownBudget,
        failure: OperationError.Code
    ) async throws -> Bool {
        guard backend.capabilities.has(.softShutdown) else { return false }
        let interruption = instance.beginInterruptible()
        defer { instance.endInterruptible() }
        let clock = ContinuousClock()
        let deadline = clock.now + budget.timeout
        var unsupported = 0
        for wait in ShutdownSchedule(timeout: budget.timeout, interval: budget.interval) {
            guard clock.now < deadline else { break }
            let answer = await requestShutdown(instance, interruption)
            unsupported = answer == .unsupported ? unsupported + 1 : 0
            if unsupported == 2 { return try await isOff(instance) }
            let end = min(clock.now + wait, deadline)
            if answer == .notReady {
                try await pause(interruption, until: end, failure)
            } else if try await pollUntilOff(instance, until: end, interruption, failure) {
                return true
            }
        }
        return try await isOff(instance)
    }

    /// Any error of the request counts as "not now".
    private func requestShutdown(_ instance: Instance, _ interruption: Interruption) async -> ShutdownAnswer {
        do {
            return try await interruption.cancelling { [backend] in
                try await backend.requestShutdown(instance.uuid, reason: "requested by the control plane")
            }
        } catch {
            logger.debug(
                "shutdown request failed",
                metadata: ["instance": "\(instance.uuid)", "error": "\(error)"]
            )
            return .notReady
        }
    }

    private func pollUntilOff(
        _ instance: Instance,
        until end: ContinuousClock.Instant,
        _ interruption: Interruption,
        _ failure: OperationError.Code
    ) async throws -> Bool {
        let interval = settings.powerOffPollInterval
        while true {
            if try await isOff(instance) { return true }
            let now = ContinuousClock.now
            guard now < end else { return false }
            try await pause(interruption, until: min(now + interval, end), failure)
        }
    }

    private func pause(
        _ interruption: Interruption,
        until end: ContinuousClock.Instant,
        _ failure: OperationError.Code
    ) async throws {
        let remaining = end - ContinuousClock.now
        guard remaining > .zero else { return }
        if try await interruption.sleep(for: remaining) { return }
        let reason = interruption.reason ?? "interrupted"
        throw OperationError(failure, "The soft shutdown was \(reason).", details: ["reason": reason])
    }

    private func isOff(_ instance: Instance) async throws -> Bool {
        guard let status = try await machine(instance.uuid) else {
            throw OperationError.notFound(instance.uuid.text)
        }
        return status.state == .off
    }
}
