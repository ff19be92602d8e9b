import Synchronization

/// The instances that are being built just now: a second request for one of them, which the control plane may send when
/// it is in doubt, finds the first at work.
final class BuildsUnderWay: Sendable {
    private let instances = Mutex<Set<String>>([])

    /// - Returns: `false` when it is being built already.
    func begin(_ instance: String) -> Bool { instances.withLock { $0.insert(instance).inserted } }

    func end(_ instance: String) { instances.withLock { _ = $0.remove(instance) } }
}
