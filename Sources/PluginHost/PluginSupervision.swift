/// Decides when a plugin that ended is started again: pauses that double, and a circuit that opens when it keeps
/// failing (plugin protocol, section 10).
struct PluginSupervision: Sendable {
    /// What happened, with the time since some fixed moment.
    enum Event: Sendable, Hashable {
        case started(at: Duration)
        /// It never started, or it ended.
        case failed(at: Duration)
    }

    enum Action: Sendable, Hashable {
        case none
        /// Start it again after the pause.
        case restart(after: Duration)
    }

    let rules: PluginRestarts
    /// Whether it failed so often that it is tried only now and then.
    private(set) var isDegraded = false
    private var pause: Duration
    private var failures: [Duration] = []
    private var runningSince: Duration?

    init(_ rules: PluginRestarts) {
        self.rules = rules
        pause = rules.firstPause
    }

    mutating func event(_ event: Event) -> Action {
        switch event {
        case .started(let now):
            runningSince = now
            return .none
        case .failed(let now):
            if let since = runningSince, now - since >= rules.health {
                pause = rules.firstPause
                failures = []
                isDegraded = false
            }
            runningSince = nil
            failures = failures.suffix(max(rules.failures, 1) - 1).filter { now - $0 < rules.window } + [now]
            isDegraded = isDegraded || failures.count >= rules.failures
            if isDegraded { return .restart(after: rules.degradedPause) }
            defer { pause = min(pause * 2, rules.longestPause) }
            return .restart(after: pause)
        }
    }

    /// A degraded one that has been well for long enough is no longer.
    mutating func healthy() {
        isDegraded = false
        failures = []
        pause = rules.firstPause
    }
}
