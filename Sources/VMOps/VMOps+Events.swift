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
            group.addTask { await self.finishMovesRegularly() }
            for instance in allInstances where instance.hasEvents {
                group.addTask { await self.handleEvents(of: instance) }
            }
            for await event in events {
                guard let instance = instance(event.uuid), instance.queue(event) else { continue }
                group.addTask { await self.handleEvents(of: instance) }
            }
            group.cancelAll()
        }
    }

    private func handleEvents(of instance: Instance) async {
        do {
            try await instance.lane.run { try await handlePendingEvents(instance) }
        } catch {
            logger.debug(
                "event not handled",
                metadata: ["instance": "\(instance.uuid)", "error": "\(error)"]
            )
        }
    }

    /// Takes note of what was reported so far. In the lane only.
    func handlePendingEvents(_ instance: Instance) async throws {
        for event in instance.takeEvents() {
            guard !instance.isGone, instance.record.complete, let status = try await machine(instance.uuid),
                event.incarnation >= status.incarnation
            else { continue }
            var isNews = await follow(status, instance)
            if event.kind == .rebooted, status.state == .running, !instance.takeExpectedReboot() {
                await ensureConsole(instance, mark: .boot)
                isNews = true
            }
            if isNews { observer.machineChanged(event, instance.record) }
        }
    }

    /// Brings console and record into line with the machine's state of now, so that late, repeated and lost events do
    /// no harm.
    ///
    /// - Returns: whether the state is another one than the last operation or event led to.
    private func follow(_ status: MachineStatus, _ instance: Instance) async -> Bool {
        guard status.state != .transitional, status.state != instance.record.state else {
            await fitConsole(instance)
            return false
        }
        switch (instance.record.state, status.state) {
        case (_, .off): await closeConsole(instance, mark: .stop)
        case (_, .error): await closeConsole(instance, mark: .crash)
        case (_, .saved): await closeConsole(instance, mark: .suspend)
        case (.saved, .running), (.saved, .paused): await ensureConsole(instance, mark: .resume)
        case (.running, .paused), (.paused, .running): await ensureConsole(instance, mark: nil)
        default: await ensureConsole(instance, mark: .boot)
        }
        await remember(instance) { $0.state = status.state }
        return true
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
                guard !instance.isGone, instance.record.complete, await !giveWayIfTaken(instance) else { return }
                try await handlePendingEvents(instance)
                guard let status = try await machine(instance.uuid) else { return }
                _ = await follow(status, instance)
            }
        } catch {
            logger.debug("inventory failed", metadata: ["instance": "\(instance.uuid)", "error": "\(error)"])
        }
    }
}
