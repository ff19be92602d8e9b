import Console
import HostBackend
import Logging
import Support
import Synchronization

/// What hosts and guests do on their own (VM operations, section 12.3).
extension VMOps {
    /// Captures the consoles, follows the host's events, and repairs what they missed by an inventory now and then.
    /// Ends after ``stop()`` or when the task is cancelled.
    package func run() async {
        guard let events = eventStream.withLock({ $0 }) else { return }
        await withDiscardingTaskGroup { group in
            group.addTask { try? await self.console.run() }
            group.addTask { await self.repairRegularly() }
            for await event in events {
                guard let instance = instance(event.uuid) else { continue }
                instance.queue(event)
                group.addTask { await self.handleEvents(of: instance) }
            }
            group.cancelAll()
        }
    }

    private func handleEvents(of instance: Instance) async {
        do {
            try await instance.lane.run {
                for event in instance.takeEvents() { try await handle(event, instance) }
            }
        } catch {
            logger.debug(
                "event not handled",
                metadata: ["instance": "\(instance.uuid)", "error": "\(error)"]
            )
        }
    }

    /// Events are hints: what is done follows the machine's state of now, so that a late or repeated one is harmless.
    private func handle(_ event: MachineEvent, _ instance: Instance) async throws {
        guard !instance.isGone, let status = try await machine(instance.uuid),
            event.incarnation >= status.incarnation
        else { return }
        let unexpected: Bool
        switch event.kind {
        case .rebooted:
            await ensureConsole(instance, mark: .boot)
            unexpected = true
        case .crashed, .stopped(.crashed):
            await closeConsole(instance, mark: .crash)
            unexpected = true
        case .stopped(.guest), .stopped(.host):
            if status.state == .off { await closeConsole(instance, mark: .stop) }
            unexpected = true
        default:
            await fitConsole(instance)
            unexpected = false
        }
        await remember(instance) { record in
            if status.state != .transitional { record.state = status.state }
        }
        if unexpected { observer.machineChanged(event, instance.record) }
    }

    private func repairRegularly() async {
        while !Task.isCancelled {
            do {
                try await Task.sleep(for: settings.inventoryInterval)
            } catch {
                return
            }
            for instance in allInstances where !instance.lane.isBusy {
                await repair(instance)
            }
        }
    }

    private func repair(_ instance: Instance) async {
        do {
            try await instance.lane.run {
                guard !instance.isGone, instance.record.complete else { return }
                guard let status = try await machine(instance.uuid) else { return }
                await fitConsole(instance)
                await remember(instance) { record in
                    if status.state != .transitional { record.state = status.state }
                }
            }
        } catch {
            logger.debug("inventory failed", metadata: ["instance": "\(instance.uuid)", "error": "\(error)"])
        }
    }
}
