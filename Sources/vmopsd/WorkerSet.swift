import RPCWorker
import Support
import Synchronization

/// The workers of a process: one for the hosts that are served from the beginning, and one for each that comes later,
/// because its control plane would have none of it at first. Limits are each worker's.
final class WorkerSet: Sendable {
    private struct State {
        var workers: [RPCWorker] = []
        var limits: AdmissionLimits?
        var drainTimeout: Duration?
        var handOver: Duration?
    }

    private let make: @Sendable ([ServedHost]) throws -> RPCWorker
    private let hosts: [ServedHost]
    private let state = Mutex(State())

    /// - Parameter make: a worker for hosts that are not served yet.
    init(hosts: [ServedHost], make: @escaping @Sendable ([ServedHost]) throws -> RPCWorker) {
        self.hosts = hosts
        self.make = make
    }

    /// A worker for some of the hosts, which the caller runs.
    func add(_ names: Set<String>) throws -> RPCWorker {
        let worker = try make(hosts.filter { names.contains($0.name) })
        state.withLock { state in
            state.workers.append(worker)
            if let limits = state.limits { worker.update(limits, drainTimeout: state.drainTimeout) }
            if let timeout = state.handOver { worker.handOver(drainTimeout: timeout) }
        }
        return worker
    }

    private var workers: [RPCWorker] { state.withLock { $0.workers } }

    func update(_ limits: AdmissionLimits, drainTimeout: Duration) {
        let workers = state.withLock { state in
            state.limits = limits
            state.drainTimeout = drainTimeout
            return state.workers
        }
        for worker in workers { worker.update(limits, drainTimeout: drainTimeout) }
    }

    func handOver(drainTimeout: Duration) {
        let workers = state.withLock { state in
            state.handOver = drainTimeout
            return state.workers
        }
        for worker in workers { worker.handOver(drainTimeout: drainTimeout) }
    }

    /// Returns when all connections' threads have answered; at once when there are none yet.
    func checkIn() async {
        for worker in workers { await worker.checkIn() }
    }

    /// Returns when all workers that there are consume.
    func waitUntilReady() async throws {
        for worker in workers { try await worker.waitUntilReady() }
    }

    /// All workers as if they were one.
    var status: RPCWorkerStatus { RPCWorkerStatus(of: workers.map(\.status)) }
}
