import Console
package import HostBackend
import Journal

extension VMOps {
    /// Removes an instance (VM operations, section 6.9); one that is not there is removed already. Each step is tried
    /// whatever became of the others; the first error is thrown at the end, and a repetition goes on from there.
    ///
    /// - Parameters:
    ///   - interfaces: what the request says is plugged, beside what the record knows.
    ///   - volumes: what the request says is connected.
    ///   - destroyDisks: `false` keeps the instance's files and console log.
    package func destroy(
        _ uuid: InstanceUUID,
        interfaces: [NetworkInterface],
        volumes: [VolumeConnection],
        destroyDisks: Bool,
        _ context: OperationContext
    ) async throws {
        guard let instance = instance(uuid) else {
            return try await destroyUnknown(uuid, interfaces: interfaces, volumes: volumes)
        }
        let kind = OperationKind(
            name: "destroy",
            state: .deleting,
            failure: .instanceTerminationFailure,
            impatient: true
        )
        do {
            try await perform(kind, on: instance, context) {
                try await tearDown(instance, interfaces: interfaces, volumes: volumes, destroyDisks: destroyDisks)
            }
        } catch let error as OperationError where error.code == .instanceNotFound {
            return
        }
    }

    private func tearDown(
        _ instance: Instance,
        interfaces: [NetworkInterface],
        volumes: [VolumeConnection],
        destroyDisks: Bool
    ) async throws {
        let uuid = instance.uuid
        var failures = FirstError()
        await failures.collect { try await backend.cancelJobs(uuid) }
        await failures.collect {
            guard let status = try await machine(uuid) else { return }
            if status.state != .off {
                _ = try await backend.setState(uuid, .off, deadline: settings.stateChangeTimeout)
            }
        }
        await closeConsole(instance, mark: .stop)
        await failures.collect { try await backend.deleteMachine(uuid) }
        await disconnect(uuid, instance.record.interfaces + interfaces, volumes, &failures)
        if failures.error == nil, destroyDisks {
            await failures.collect { try await removeFiles(uuid) }
        }
        if failures.error == nil {
            await failures.collect { try await journal.remove(uuid) }
        }
        if let error = failures.error { throw error }
        unregister(instance)
    }

    private func disconnect(
        _ uuid: InstanceUUID,
        _ interfaces: [NetworkInterface],
        _ volumes: [VolumeConnection],
        _ failures: inout FirstError
    ) async {
        var seen: Set<String> = []
        for interface in interfaces where seen.insert(interface.id).inserted {
            await failures.collect { try await backend.unplugInterface(interface, of: uuid) }
        }
        for volume in volumes {
            await failures.collect { try await backend.disconnectVolume(volume) }
        }
    }

    /// Files may be held open for a moment by whatever just ended.
    func removeFiles(_ uuid: InstanceUUID) async throws {
        try await console.delete(uuid, directory: directory(uuid).path)
        let directory = directory(uuid)
        let deadline = ContinuousClock.now + settings.removeDirectoryTimeout
        while true {
            do {
                return try await directory.remove()
            } catch {
                guard ContinuousClock.now < deadline else { throw error }
                try await Task.sleep(for: .milliseconds(200))
            }
        }
    }

    /// The machine may exist although this worker has no record of it: only if it is ours by its note.
    private func destroyUnknown(
        _ uuid: InstanceUUID,
        interfaces: [NetworkInterface],
        volumes: [VolumeConnection]
    ) async throws {
        var failures = FirstError()
        await failures.collect {
            guard let status = try await machine(uuid) else { return }
            if status.state != .off {
                _ = try await backend.setState(uuid, .off, deadline: settings.stateChangeTimeout)
            }
            try await backend.deleteMachine(uuid)
        }
        await disconnect(uuid, interfaces, volumes, &failures)
        if let error = failures.error {
            throw OperationError(error, failure: .instanceTerminationFailure, instance: uuid.text, host: host)
        }
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
