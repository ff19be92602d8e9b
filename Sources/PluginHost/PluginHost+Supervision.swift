import HostBackend
import Logging
import Metrics
import PluginProtocol
import Support
import Synchronization

/// The plugin's lives (plugin protocol, section 10).
extension PluginHost {
    /// Keeps the plugin running until the task is cancelled.
    func supervise() async {
        var supervision = PluginSupervision(settings.restarts)
        let beginning = ContinuousClock.now
        while !Task.isCancelled {
            set(supervision.isDegraded ? .degraded : status.restarts > 0 ? .restarting : .starting)
            let error: PluginError
            do throws(PluginError) {
                let link = try await open()
                _ = supervision.event(.started(at: ContinuousClock.now - beginning))
                error = await live(link)
            } catch let failure {
                error = failure
            }
            if Task.isCancelled { break }
            let action = supervision.event(.failed(at: ContinuousClock.now - beginning))
            failed(error, isDegraded: supervision.isDegraded)
            startIsOver()
            guard case .restart(let pause) = action else { break }
            // Jitter, so that the plugins of many hosts do not come back in step.
            try? await Task.sleep(for: pause * Double.random(in: 0.9...1.1))
            state.withLock { $0.status.restarts += 1 }
        }
        set(.stopped)
        startIsOver()
    }

    private func set(_ new: PluginStatus.State) {
        state.withLock { $0.status.state = new }
        metrics.state.record(new.number)
    }

    private func failed(_ error: PluginError, isDegraded: Bool) {
        let text = PluginText.escaped(error.message)
        let known = state.withLock { state in
            defer { state.status.lastError = text }
            return state.status.state == .degraded && state.status.lastError == text
        }
        set(isDegraded ? .degraded : .restarting)
        metrics.failures.increment()
        // A host that stays broken says so once.
        let level: Logger.Level = known ? .debug : isDegraded ? .error : .warning
        logger.log(level: level, "plugin failed", metadata: ["error": "\(text)", "degraded": "\(isDegraded)"])
    }

    private func startIsOver() {
        let waiting = state.withLock { state in
            defer { state.firstStart = nil }
            return state.firstStart ?? []
        }
        for continuation in waiting { continuation.resume() }
    }

    // MARK: One life

    private func open() async throws(PluginError) -> any PluginLink {
        metrics.starts.increment()
        let link: any PluginLink
        switch settings.shape {
        case .child:
            let (connection, child) = try await PluginConnection.start(
                try await launch.command(),
                hello: hello,
                times: settings.times,
                launcher: launcher,
                logger: logger,
                log: sayer
            )
            link = ConnectionLink(connection: connection, child: child)
        case .socket:
            let connection = try await PluginConnection.connect(
                to: settings.socket,
                user: try launch.user()?.uid,
                hello: hello,
                times: settings.times,
                launcher: launcher,
                logger: logger
            )
            link = ConnectionLink(connection: connection, child: nil)
        case .oneshot:
            link = try await OneShotLink.open(
                try await launch.command(),
                hello: hello,
                times: settings.times,
                launcher: launcher,
                log: sayer
            )
        }
        do throws(PluginError) {
            try await accept(link.hello)
        } catch {
            await link.end(reason: nil)
            throw error
        }
        return link
    }

    /// What the plugin writes to its standard error becomes lines of our log.
    private var sayer: @Sendable (PluginLogLine) -> Void {
        let logger = logger
        return { line in
            var metadata: Logger.Metadata = ["source": "plugin"]
            for (key, value) in line.fields { metadata["plugin_\(key)"] = "\(value)" }
            let level: Logger.Level =
                switch line.level {
                case .debug: .debug
                case .info: .info
                case .warning: .warning
                case .error: .error
                }
            logger.log(level: level, "\(line.message)", metadata: metadata)
        }
    }

    /// Takes note of what the plugin is; refuses one of another hypervisor host.
    private func accept(_ hello: PluginHello) async throws(PluginError) {
        let path = directory + "/plugin.json"
        if let known = state.withLock({ $0.hostID }), known != hello.hostID {
            throw PluginError(
                .start,
                "the plugin drives the hypervisor host \(PluginText.escaped(hello.hostID)), and not "
                    + "\(PluginText.escaped(known)) as before; if that is meant, remove \(path)"
            )
        }
        let facts = KeptFacts(hostID: hello.hostID, capabilities: hello.capabilities)
        do {
            try await BlockingPool.shared.run { if KeptFacts(path) != facts { try facts.write(path) } }
        } catch {
            throw PluginError(.start, "\(error)")
        }
        state.withLock { state in
            state.hostID = hello.hostID
            state.capabilities = hello.capabilities
            state.hasRemoteFiles = hello.hasRemoteFiles
            state.status.name = PluginText.escaped(hello.name)
            state.status.version = PluginText.escaped(hello.pluginVersion)
        }
    }

    /// Follows the plugin until it ends, for whatever reason.
    private func live(_ link: any PluginLink) async -> PluginError {
        let error = await withTaskGroup(of: PluginError?.self) { group -> PluginError in
            group.addTask { await link.waitForEnd() }
            group.addTask {
                while !Task.isCancelled { try? await Task.sleep(for: .seconds(3600)) }
                return PluginError(.closed, "the worker shuts down")
            }
            group.addTask {
                do throws(PluginError) {
                    try await self.serve(link)
                    return nil
                } catch {
                    return error
                }
            }
            var first: PluginError?
            while first == nil, let next = await group.next() { first = next }
            state.withLock { $0.link = nil }
            await link.end(reason: Task.isCancelled ? "the worker shuts down" : nil)
            group.cancelAll()
            return first ?? PluginError(.closed, "the plugin was ended")
        }
        return error
    }

    /// Subscribes, takes the inventory, and follows what happens. Ends when the task is cancelled, or by an error.
    private func serve(_ link: any PluginLink) async throws(PluginError) {
        let hasEvents = link.hello.capabilities.has(.events) && link.events != nil
        if hasEvents {
            _ = try await link.request(
                .eventsSubscribe,
                [:],
                deadline: settings.requestTimeout,
                key: nil,
                progress: nil
            )
        }
        state.withLock { $0.inventory.begin() }
        let follower = hasEvents ? link.events : nil
        let result = await withTaskGroup(of: PluginError?.self) { group -> PluginError? in
            if let follower {
                group.addTask {
                    await self.follow(follower, link)
                    return nil
                }
            }
            group.addTask {
                do throws(PluginError) {
                    try await self.takeInventory(link)
                } catch {
                    return error
                }
                self.state.withLock { $0.link = link }
                self.set(.running)
                self.logger.notice("plugin runs", metadata: ["plugin": "\(self.status.name) \(self.status.version)"])
                self.startIsOver()
                if !hasEvents { return await self.poll(link) }
                return nil
            }
            for await error in group {
                if let error {
                    group.cancelAll()
                    return error
                }
            }
            return nil
        }
        if let result { throw result }
    }

    // MARK: Inventory

    private func poll(_ link: any PluginLink) async -> PluginError? {
        while true {
            do {
                try await Task.sleep(for: settings.pollInterval)
            } catch {
                return nil
            }
            do throws(PluginError) {
                try await takeInventory(link)
            } catch {
                // A refusal is not the end of a plugin; a lost connection ends this life by itself.
                logger.warning("inventory of the plugin failed", metadata: ["error": "\(error)"])
            }
        }
    }

    private func follow(_ events: AsyncStream<PluginEvent>, _ link: any PluginLink) async {
        var last: UInt64 = 0
        var nextInventory = ContinuousClock.now
        for await event in events {
            let isGap = event.sequence != last + 1
            last = event.sequence
            state.withLock { $0.inventory.happened(event.uuid, event.incarnation, event.kind) }
            if event.kind == .removed { consoles.forget(event.uuid) }
            eventHub.post(event.uuid, event.incarnation, event.kind)
            guard isGap else { continue }
            // A plugin whose events are full of gaps is not asked for more than it can answer.
            do { try await Task.sleep(until: nextInventory) } catch { return }
            nextInventory = .now + .seconds(1)
            logger.warning("events of the plugin are missing", metadata: ["before": "\(last)"])
            do throws(PluginError) {
                try await takeInventory(link)
            } catch {
                logger.warning("inventory of the plugin failed", metadata: ["error": "\(error)"])
            }
        }
    }

    /// Asks what is there, and makes events of what has changed since the last time.
    private func takeInventory(_ link: any PluginLink) async throws(PluginError) {
        state.withLock { $0.inventory.begin() }
        let list: [MachineSummary]
        do {
            list = try await machines(link)
        } catch let error as PluginError {
            throw error
        } catch {
            throw PluginError(.violation, "\(error)")
        }
        let (changes, isFirst) = state.withLock { state in
            let isFirst = !state.inventory.isComplete
            return (state.inventory.listed(list, tellsAll: state.isConnected), isFirst)
        }
        if isFirst {
            for machine in list where [.running, .paused].contains(machine.state) {
                if let uuid = machine.uuid { consoles.adopt(uuid) }
            }
        }
        for change in changes { eventHub.post(change.uuid, change.incarnation, change.kind) }
    }

    /// All pages of the list.
    func machines(_ link: any PluginLink) async throws -> [MachineSummary] {
        var machines: [MachineSummary] = []
        var after: String?
        for _ in 0..<Self.pageLimit {
            var params: JSONObject = ["limit": .int(Self.pageSize)]
            params["after"] = after.map { .string($0) }
            let result = try await link.request(
                .machineList,
                params,
                deadline: settings.requestTimeout,
                key: nil,
                progress: nil
            )
            let page = PluginMembers(result, of: "the plugin's answer to machine.list", code: .internal)
            for element in result["machines"]?.arrayValue ?? [] {
                let members = PluginMembers(
                    element.objectValue ?? [:],
                    of: "the plugin's answer to machine.list",
                    code: .internal
                )
                machines.append(try MachineSummary(members))
            }
            guard machines.count <= PluginInventory.limit else { break }
            guard let next = page.text("next"), next != after else { return machines }
            after = next
        }
        throw BackendError(.internal, "the plugin's list of machines has no end")
    }

    private static let pageSize: Int64 = 500
    private static let pageLimit = 1000
}
