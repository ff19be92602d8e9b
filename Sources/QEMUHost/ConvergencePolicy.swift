/// When a transfer of memory is helped, or given up: a guest may change it faster than it can be sent (QEMU backend,
/// section 7.3).
///
/// QEMU slows such a guest down step by step if it may. Beyond that, when pass after pass leaves no less to send, the
/// guest is allowed to stand still longer at the end, up to a limit; and when all the time is up, what the operator
/// wants is done.
struct ConvergencePolicy: Sendable {
    enum Action: Sendable, Hashable {
        case none
        /// The guest may stand still for so long.
        case allow(downtime: Duration)
        /// Stop the guest; what it leaves is then sent in one go.
        case pause
        case giveUp
    }

    /// How long it may go on without getting nearer to the end before something is done about it.
    static let patience = Duration.seconds(5)

    private let limits: MigrationLimits
    private var downtime: Duration
    private var pass: Int64 = 0
    /// The least that a pass had to send, and when that was.
    private var least: UInt64 = .max
    private var lastBetter: Duration = .zero
    private var isPaused = false

    init(_ limits: MigrationLimits) {
        self.limits = limits
        downtime = limits.downtime
    }

    /// Looks at how far it is.
    ///
    /// - Parameters:
    ///   - elapsed: since memory began to be sent.
    ///   - pass: counts the passes over the memory.
    ///   - remaining: bytes that are still to be sent.
    mutating func look(elapsed: Duration, pass: Int64, remaining: UInt64) -> Action {
        if isPaused { return .none }
        if let limit = limits.completionTimeout, elapsed >= limit {
            switch limits.lastResort {
            case .abort: return .giveUp
            case .pause:
                isPaused = true
                return .pause
            }
        }
        // Only the beginning of a pass tells what the guest has changed meanwhile.
        guard pass != self.pass else { return .none }
        self.pass = pass
        if remaining < least {
            least = remaining
            lastBetter = elapsed
            return .none
        }
        guard elapsed - lastBetter >= Self.patience, downtime < limits.maximumDowntime else { return .none }
        lastBetter = elapsed
        downtime = min(downtime * 2, limits.maximumDowntime)
        return .allow(downtime: downtime)
    }
}
