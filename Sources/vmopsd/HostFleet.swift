import Configuration
import Console
import Journal
import Logging
import NovaCompute
import PluginHost
import RPCClient
import RPCWorker
import ServiceLifecycle
import SimulatedHost
import Support
import VMOps

/// All hosts of the process.
final class HostFleet: Service {
    private let stacks: [HostStack]
    private let notifier: Notifier?
    private let images: ImageStores
    private let calls: HostCalls
    /// Those of hosts that a control plane is to know.
    private let services: [ComputeService]
    private let logger: Logger
    /// The stop that a graceful shutdown began.
    private let stopping = Box<Task<Void, Never>?>(nil)

    init(_ settings: Settings, logger: Logger) async throws {
        self.logger = logger
        let shared = try SharedParts(settings, logger: logger)
        stacks = try await Self.stacks(settings, shared, logger)
        services = stacks.compactMap { $0.computeService() }
        notifier = shared.notifier
        images = shared.images
        calls = shared.calls
        shared.peers.set(stacks.map(\.operations))
    }

    /// Opens the hosts' files, several at a time: each waits for the disk more than once.
    private static func stacks(
        _ settings: Settings,
        _ shared: SharedParts,
        _ logger: Logger
    ) async throws -> [HostStack] {
        try await withThrowingTaskGroup(of: (number: Int, stack: HostStack).self) { group in
            var stacks: [Int: HostStack] = [:]
            for (number, host) in settings.hosts.enumerated() {
                if number >= 16, let made = try await group.next() { stacks[made.number] = made.stack }
                group.addTask {
                    let stack = try await BlockingPool.shared.run {
                        try HostStack(host, settings, shared, logger: logger)
                    }
                    return (number, stack)
                }
            }
            for try await made in group { stacks[made.number] = made.stack }
            return settings.hosts.indices.compactMap { stacks[$0] }
        }
    }

    var names: [String] { stacks.map(\.name) }

    func served(identityVersion: String) -> [ServedHost] {
        stacks.map { $0.served(version: identityVersion) }
    }

    /// Takes the hosts into service, several at a time.
    func start() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (number, stack) in stacks.enumerated() {
                if number >= 8 { try await group.next() }
                group.addTask { try await stack.operations.start() }
            }
            try await group.waitForAll()
        }
    }

    /// Runs consoles and events until shutdown; machines keep running.
    func run() async throws {
        await withGracefulShutdownHandler {
            await withDiscardingTaskGroup { group in
                if let notifier {
                    group.addTask {
                        do {
                            try await notifier.run()
                        } catch {
                            self.logger.error("notifications ended", metadata: ["error": "\(error)"])
                        }
                    }
                }
                group.addTask { await cancelWhenGracefulShutdown { await self.images.run() } }
                group.addTask {
                    do {
                        try await self.calls.run()
                    } catch is CancellationError {
                    } catch {
                        self.logger.error("calls to other hosts ended", metadata: ["error": "\(error)"])
                    }
                }
                for stack in stacks { group.addTask { await stack.operations.run() } }
                for service in services {
                    group.addTask { await cancelWhenGracefulShutdown { await service.run() } }
                }
            }
        } onGracefulShutdown: {
            // Brings about the end of the operations' own run, and is awaited behind it: the hosts' last words are
            // still being written then.
            self.stopping.value = Task { await self.stop() }
        }
        await stopping.value?.value
        for stack in stacks { await stack.journal.close() }
    }

    /// Returns when of each host is known whether the control plane takes it, if one is to; before that none may serve.
    /// Ends early when cancelled.
    ///
    /// - Returns: the refusals, by host.
    func untilDecided() async -> [String: ComputeServiceError] {
        await withTaskGroup(of: (host: String, refusal: ComputeServiceError?).self) { group in
            for service in services { group.addTask { (service.host, await service.untilDecided()) } }
            var refusals: [String: ComputeServiceError] = [:]
            for await (host, refusal) in group { refusals[host] = refusal }
            return refusals
        }
    }

    /// Returns when the control plane has taken a host that it had refused; `false`: it is not going to.
    func untilRegistered(_ host: String) async -> Bool {
        await services.first { $0.host == host }?.untilRegistered() ?? false
    }

    private func stop() async {
        await withDiscardingTaskGroup { group in
            for stack in stacks { group.addTask { await stack.operations.stop() } }
            if let notifier { group.addTask { await notifier.close() } }
            group.addTask { await self.calls.close() }
        }
    }

    /// What a host does, and what keeps it from it.
    struct Load {
        var host: String
        var instances: Int
        /// In progress.
        var operations: Int
        var plugin: PluginStatus?
        /// Why the control plane does not take it.
        var refusal: String?
    }

    var load: [Load] {
        stacks.map { stack in
            let load = stack.operations.load
            let service = services.first { $0.host == stack.name }
            return Load(
                host: stack.name,
                instances: load.instances,
                operations: load.operations,
                plugin: stack.plugin,
                refusal: service?.refusal.map { "\($0)" }
            )
        }
    }

    func apply(_ settings: Settings) {
        images.apply(settings)
        for host in settings.hosts {
            stacks.first { $0.name == host.name }?.apply(host, settings)
        }
    }
}
