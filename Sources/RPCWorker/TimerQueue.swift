import Synchronization

/// Calls functions after a while, all from one task: ``run()``. Costs nothing while nothing is scheduled.
///
/// Functions run on the global pool one after the other and must not wait. The time is exact to ``tick``.
final class TimerQueue: Sendable {
    /// No delay is shorter, so that a sleeping task need not be woken for a new one.
    static let shortest = Duration.milliseconds(200)
    private static let tick = Duration.milliseconds(20)

    private typealias Action = @Sendable () -> Void

    private struct State {
        /// By the number of the tick after the start at which they are due.
        var due: [Int64: [Action]] = [:]
        var sleeper: CheckedContinuation<Void, Never>?
        var ended = false
    }

    private let state = Mutex(State())
    private let start = ContinuousClock.now

    /// - Parameter delay: at least ``shortest``.
    func schedule(after delay: Duration, _ action: @escaping @Sendable () -> Void) {
        let due = tickNumber(after: max(delay, Self.shortest))
        let sleeper = state.withLock { state -> CheckedContinuation<Void, Never>? in
            guard !state.ended else { return nil }
            state.due[due, default: []].append(action)
            defer { state.sleeper = nil }
            return state.sleeper
        }
        sleeper?.resume()
    }

    /// Calls what is due until cancelled; afterwards everything scheduled is dropped.
    func run() async {
        while !Task.isCancelled {
            let (actions, next) = takeDue()
            for action in actions { action() }
            if let next {
                let wake = min(start + Self.tick * Double(next), .now + Self.shortest)
                try? await Task.sleep(until: wake, tolerance: .zero, clock: .continuous)
            } else {
                await sleep()
            }
        }
        state.withLock { state in
            state.ended = true
            state.due.removeAll()
        }
    }

    private func takeDue() -> (actions: [Action], next: Int64?) {
        let now = tickNumber(after: .zero) - 1
        return state.withLock { state in
            var actions: [Action] = []
            for tick in state.due.keys.filter({ $0 <= now }).sorted() {
                actions += state.due.removeValue(forKey: tick) ?? []
            }
            return (actions, actions.isEmpty ? state.due.keys.min() : now)
        }
    }

    /// The first tick that is not before the present moment and `delay`.
    private func tickNumber(after delay: Duration) -> Int64 {
        let nanoseconds = (ContinuousClock.now - start + delay).nanoseconds
        return nanoseconds / Self.tick.nanoseconds + 1
    }

    private func sleep() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let goOn = state.withLock { state in
                    if Task.isCancelled || !state.due.isEmpty { return true }
                    state.sleeper = continuation
                    return false
                }
                if goOn { continuation.resume() }
            }
        } onCancel: {
            let sleeper = state.withLock { state in
                defer { state.sleeper = nil }
                return state.sleeper
            }
            sleeper?.resume()
        }
    }
}

extension Duration {
    var nanoseconds: Int64 {
        components.seconds * 1_000_000_000 + components.attoseconds / 1_000_000_000
    }

    var milliseconds: Int64 { nanoseconds / 1_000_000 }
}
