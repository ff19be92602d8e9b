import Console
import HostBackend
import Journal
import Logging
import Support
import Synchronization

/// Taking up and giving up service (VM operations, sections 6.16, 6.17 and 7.8).
extension VMOps {
    /// Connects to the host, undoes what an earlier worker left half made, adopts the rest, and attaches the consoles.
    /// Remote requests are served only afterwards. A single instance that cannot be adopted is reported and does not
    /// stop the others.
    package func start() async throws {
        try await backend.connect()
        let events = backend.events()
        eventStream.withLock { $0 = events }
        for record in try await journal.records() {
            if await isTaken(record) {
                await giveWay(record)
            } else if let move = record.move {
                await takeUp(record, move)
            } else if record.complete {
                await adopt(record)
            } else {
                await undoUnfinished(record)
            }
        }
        await removePartialImages()
        isInService.store(true, ordering: .releasing)
        await reportForeign()
    }

    /// Closes the consoles; machines keep running.
    package func stop() async {
        isInService.store(false, ordering: .releasing)
        await console.shutdown()
        await backend.disconnect()
    }

    func adopt(_ record: InstanceRecord) async {
        let instance = Instance(record)
        guard register(instance) == nil else { return }
        do {
            guard let status = try await machine(record.uuid) else {
                logger.error("instance is missing on the host", metadata: ["instance": "\(record.uuid)"])
                return
            }
            let wasRunning = record.state == .running
            if wasRunning || record.state == .paused, status.state == .off || status.state == .error,
                !settings.resumeGuestsOnStart
            {
                // It ended while no worker was there. What it printed last may still have to be read; then comes what
                // such an event always brings, once the consoles run.
                await ensureConsole(instance, mark: nil)
                _ = instance.queue(
                    MachineEvent(
                        sequence: 0,
                        uuid: record.uuid,
                        incarnation: status.incarnation,
                        kind: status.state == .error ? .crashed : .stopped(.guest)
                    )
                )
                return
            }
            await fitConsole(instance)
            if wasRunning, status.state == .off, settings.resumeGuestsOnStart {
                try await start(instance, from: .off, failure: .instancePowerOnFailure)
            } else if status.state != .transitional {
                await remember(instance) { $0.state = status.state }
            }
        } catch {
            logger.error(
                "instance not adopted completely",
                metadata: ["instance": "\(record.uuid)", "error": "\(error)"]
            )
        }
    }

    /// A worker ended in the middle of a spawn.
    private func undoUnfinished(_ record: InstanceRecord) async {
        let uuid = record.uuid
        var failures = FirstError()
        _ = await removeMachine(uuid, &failures)
        for interface in record.interfaces {
            await failures.collect { try await backend.unplugInterface(interface, of: uuid) }
        }
        for volume in record.volumes {
            await failures.collect { try await backend.disconnectVolume(volume) }
        }
        await failures.collect { try await removeFiles(uuid) }
        if failures.error == nil {
            await failures.collect { try await journal.remove(uuid) }
        }
        if let error = failures.error {
            // Kept under its uuid, so that it is seen and can be destroyed.
            _ = register(Instance(record))
            logger.error(
                "unfinished instance not undone",
                metadata: ["instance": "\(uuid)", "error": "\(error)"]
            )
        } else {
            logger.notice("unfinished instance undone", metadata: ["instance": "\(uuid)"])
        }
    }

    private func reportForeign() async {
        guard let machines = try? await backend.machines() else { return }
        for machine in machines {
            if let uuid = machine.uuid, instance(uuid) != nil { continue }
            logger.info("machine of another origin left alone", metadata: ["machine": "\(machine.name)"])
        }
    }
}
