import Synchronization

/// What the network service tells of ports that boots wait for. From ``begin(_:)`` on nothing that is told of an
/// instance's ports is lost, whether anybody waits yet or not; what is told of other instances is nobody's business here.
final class PluggedPorts: Sendable {
    /// More ports than a request may have; what is told of further ones is dropped.
    private static let mostPorts = 1024

    private struct Waiter {
        let isOver: @Sendable ([String: Bool]) -> Bool
        let continuation: CheckedContinuation<Void, Never>
    }

    private struct Boot {
        /// The same request may come twice.
        var count = 0
        /// Whether the port was plugged, by identifier.
        var told: [String: Bool] = [:]
        var waiters: [UInt64: Waiter] = [:]
    }

    private struct State {
        var boots: [String: Boot] = [:]
        var nextWaiter: UInt64 = 0
    }

    private let state = Mutex(State())

    /// Instances of which notice is taken; for tests.
    var count: Int { state.withLock { $0.boots.count } }

    /// A boot begins that may come to wait.
    func begin(_ instance: String) { state.withLock { $0.boots[instance, default: Boot()].count += 1 } }

    /// It has ended; whoever waits for it has done so before.
    func end(_ instance: String) {
        state.withLock { state in
            guard let boot = state.boots[instance] else { return }
            if boot.count > 1 { state.boots[instance]?.count -= 1 } else { state.boots[instance] = nil }
        }
    }

    /// - Parameter isPlugged: `false`: the network service has failed to.
    func note(_ port: String, of instance: String, isPlugged: Bool) {
        let over = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            guard var boot = state.boots[instance], boot.told[port] != nil || boot.told.count < Self.mostPorts else {
                return []
            }
            boot.told[port] = isPlugged
            let over = boot.waiters.filter { $0.value.isOver(boot.told) }
            for id in over.keys { boot.waiters[id] = nil }
            state.boots[instance] = boot
            return over.values.map(\.continuation)
        }
        for continuation in over { continuation.resume() }
    }

    /// Returns when something was told of all of the ports, or of one that it cannot be plugged and `stopsAtFailure`. To
    /// be called between ``begin(_:)`` and ``end(_:)``.
    ///
    /// - Returns: the ports that could not be plugged.
    /// - Throws: `CancellationError`.
    func wait(for ports: Set<String>, of instance: String, stopsAtFailure: Bool) async throws -> Set<String> {
        let isOver: @Sendable ([String: Bool]) -> Bool = { told in
            if stopsAtFailure, ports.contains(where: { told[$0] == false }) { return true }
            return ports.allSatisfy { told[$0] != nil }
        }
        let id = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isWaiting = state.withLock { state in
                    guard let boot = state.boots[instance], !Task.isCancelled, !isOver(boot.told) else { return false }
                    state.boots[instance]?.waiters[id] = Waiter(isOver: isOver, continuation: continuation)
                    return true
                }
                if !isWaiting { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.boots[instance]?.waiters.removeValue(forKey: id) }?.continuation.resume()
        }
        try Task.checkCancellation()
        let told = told(instance)
        return ports.filter { told[$0] == false }
    }

    /// Those of the ports of which nothing was told.
    func missing(_ ports: Set<String>, of instance: String) -> Set<String> {
        let told = told(instance)
        return ports.filter { told[$0] == nil }
    }

    private func told(_ instance: String) -> [String: Bool] { state.withLock { $0.boots[instance]?.told ?? [:] } }
}
