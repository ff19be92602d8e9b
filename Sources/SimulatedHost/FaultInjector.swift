import Glibc
import HostBackend
import Synchronization

/// Counts the calls of each primitive and says which of them meet a fault.
final class FaultInjector: Sendable {
    /// What one call is to meet.
    struct Decision: Sendable {
        var delay: Duration = .zero
        var before: FaultRule.What?
        var after: FaultRule.What?
    }

    private struct Key: Hashable {
        var primitive: Primitive
        /// The instance whose rules count, `nil` for the host's.
        var uuid: InstanceUUID?
    }

    private let plan: FaultPlan
    private let calls = Mutex<[Key: UInt64]>([:])

    init(plan: FaultPlan) { self.plan = plan }

    /// Counts one call.
    ///
    /// - Parameter instance: rules of the instance concerned; they come before the host's.
    func decide(_ primitive: Primitive, _ uuid: InstanceUUID?, _ instance: FaultPlan?) -> Decision {
        var decision = Decision()
        decision.delay = instance?.delays[primitive] ?? plan.delays[primitive] ?? .zero
        if let uuid, let rules = instance?.faults[primitive] {
            apply(rules, call: count(primitive, uuid), to: &decision)
        }
        if let rules = plan.faults[primitive] { apply(rules, call: count(primitive, nil), to: &decision) }
        return decision
    }

    /// The instance is gone: its counts too.
    func forget(_ uuid: InstanceUUID) {
        calls.withLock { calls in
            for key in calls.keys where key.uuid == uuid { calls[key] = nil }
        }
    }

    private func apply(_ rules: [FaultRule], call: UInt64, to decision: inout Decision) {
        guard decision.before == nil, decision.after == nil,
            let rule = rules.first(where: { $0.when.applies(to: call) })
        else { return }
        if rule.after { decision.after = rule.what } else { decision.before = rule.what }
    }

    private func count(_ primitive: Primitive, _ uuid: InstanceUUID?) -> UInt64 {
        calls.withLock { calls in
            calls[Key(primitive: primitive, uuid: uuid), default: 0] += 1
            return calls[Key(primitive: primitive, uuid: uuid), default: 0]
        }
    }
}

extension FaultRule.What {
    /// Meets the fault.
    func meet(_ primitive: Primitive, _ reactor: GuestReactor) async throws(BackendError) {
        switch self {
        case .fail(let code):
            throw BackendError(code, "simulated fault in \(primitive.rawValue)")
        case .crash:
            kill(getpid(), SIGKILL)
        case .hang:
            while true {
                do { try await reactor.sleep(3_600_000_000_000) } catch {
                    throw BackendError(.cancelled, "\(primitive.rawValue) was cancelled")
                }
            }
        }
    }
}
