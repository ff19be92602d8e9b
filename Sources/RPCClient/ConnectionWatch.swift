import AMQPTransport
import Synchronization

/// What is wrong with the connection, and whose patience with it is at an end (oslo.messaging wire, section 11:
/// `retry`).
///
/// Called by the session's thread and by those who wait; one lock, held for moments.
final class ConnectionWatch: Sendable {
    private struct Waiter {
        var failuresLeft: Int
        let roles: Set<ConnectionRole>
        let fail: @Sendable (RPCClientError) -> Void
    }

    private struct State {
        var problems: [ConnectionRole: String] = [:]
        var isBlocked = false
        var waiters: [UInt64: Waiter] = [:]
        var next: UInt64 = 0
    }

    private let addresses: Int
    private let state = Mutex(State())

    /// - Parameter addresses: how many attempts make a round.
    init(addresses: Int) { self.addresses = max(1, addresses) }

    /// Why nothing gets through at present; `nil` when all is well.
    var problem: String? {
        state.withLock { state in
            state.problems[.publishing] ?? state.problems[.consuming]
                ?? (state.isBlocked ? "the broker takes no messages at present" : nil)
        }
    }

    /// Calls `fail` once when connecting has failed in `retry` + 1 rounds over all addresses.
    ///
    /// - Parameter retry: `nil` or negative = never.
    func begin(
        retry: Int?,
        roles: Set<ConnectionRole> = [.publishing],
        fail: @escaping @Sendable (RPCClientError) -> Void
    ) -> UInt64? {
        guard let retry, retry >= 0 else { return nil }
        return state.withLock { state in
            state.next += 1
            let rounds = min(retry, 1 << 20) + 1
            state.waiters[state.next] = Waiter(
                failuresLeft: rounds * addresses * roles.count,
                roles: roles,
                fail: fail
            )
            return state.next
        }
    }

    func end(_ id: UInt64?) {
        guard let id else { return }
        state.withLock { _ = $0.waiters.removeValue(forKey: id) }
    }

    func changed(_ event: SessionEvent) {
        switch event {
        case .ready(let role, _): state.withLock { $0.problems[role] = nil }
        case .lost(let role, let reason): state.withLock { $0.problems[role] = "connection lost: \(reason)" }
        case .blocked: state.withLock { $0.isBlocked = true }
        case .unblocked: state.withLock { $0.isBlocked = false }
        case .connectFailed(let role, let address, let reason, _):
            let place = reason.contains(address) ? "" : "\(address): "
            connectFailed(role, "cannot reach the broker: \(place)\(reason)")
        case .topologyMismatch, .topologyFailed, .consumerCancelled, .throttled: break
        }
    }

    private func connectFailed(_ role: ConnectionRole, _ problem: String) {
        let failing = state.withLock { state in
            state.problems[role] = problem
            var failing: [Waiter] = []
            for (id, var waiter) in state.waiters where waiter.roles.contains(role) {
                waiter.failuresLeft -= 1
                state.waiters[id] = waiter.failuresLeft > 0 ? waiter : nil
                if waiter.failuresLeft <= 0 { failing.append(waiter) }
            }
            return failing
        }
        for waiter in failing { waiter.fail(RPCClientError(.unreachable, problem)) }
    }
}
