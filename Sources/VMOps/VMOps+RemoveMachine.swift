import HostBackend
import Support

extension VMOps {
    /// Turns a machine off and removes it from the host; one that is not there is removed already. A machine that
    /// cannot be turned off is removed all the same, if the host does it.
    ///
    /// - Parameters:
    ///   - failures: takes what either step failed with.
    ///   - whenOff: done between the two, whatever came of the former.
    /// - Returns: whether there is no machine any more.
    func removeMachine(
        _ uuid: InstanceUUID,
        _ failures: inout FirstError,
        whenOff: () async -> Void = {}
    ) async -> Bool {
        await failures.collect {
            guard let status = try await machine(uuid), status.state != .off else { return }
            do {
                _ = try await backend.setState(uuid, .off, deadline: settings.stateChangeTimeout)
            } catch let error as BackendError where error.code == .notFound {
            }
        }
        await whenOff()
        var isGone = false
        await failures.collect {
            do {
                try await backend.deleteMachine(uuid)
            } catch let error as BackendError where error.code == .notFound {
            }
            isGone = true
        }
        return isGone
    }

    /// The same for callers with nothing to do in between; throws the first failure.
    func removeMachine(_ uuid: InstanceUUID) async throws {
        var failures = FirstError()
        _ = await removeMachine(uuid, &failures)
        if let error = failures.error { throw error }
    }
}

/// Goes on after errors and keeps the first.
struct FirstError {
    private(set) var error: (any Error)?

    mutating func collect(_ body: () async throws -> Void) async {
        do {
            try await body()
        } catch {
            self.error = self.error ?? error
        }
    }
}
