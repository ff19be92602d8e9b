import Glibc
package import HostBackend
import Support
import Synchronization

/// What several simulated hosts of one process have in common: the clock, the thread on which guests live, the network
/// and the volumes, and the way from one host to another for live migrations.
package final class SimulatedWorld: Sendable {
    package struct PluggedInterface: Sendable, Hashable {
        package var host: String
        package var uuid: InstanceUUID
        package var interfaceID: String

        package init(host: String, uuid: InstanceUUID, interfaceID: String) {
            self.host = host
            self.uuid = uuid
            self.interfaceID = interfaceID
        }
    }

    package struct ConnectedVolume: Sendable, Hashable {
        package var host: String
        package var volumeID: String
        package var path: String

        package init(host: String, volumeID: String, path: String) {
            self.host = host
            self.volumeID = volumeID
            self.path = path
        }
    }

    /// Called at the start of every primitive and of every phase of a migration, after its delay; what it throws
    /// becomes the primitive's fault. For tests that have to do something at exactly that point.
    package typealias Hook =
        @Sendable (_ host: String, _ primitive: Primitive, _ uuid: InstanceUUID?) async throws -> Void

    private struct State {
        var hosts: [String: SimulatedHost] = [:]
        var interfaces: Set<PluggedInterface> = []
        var volumes: Set<ConnectedVolume> = []
        var hook: Hook?
    }

    package let clock: SimulatedClock
    /// Tells this world from others, in migration tickets.
    let id = UniqueID.make()
    let reactor: GuestReactor
    private let state = Mutex(State())

    /// Starts the guests' thread, which ends with the world. SIGPIPE is ignored from here on, as in any server, for
    /// consoles are pipes whose readers may close at any time.
    package init(clock: SimulatedClock = .system) throws(BackendError) {
        signal(SIGPIPE, SIG_IGN)
        self.clock = clock
        self.reactor = try GuestReactor(clock: clock)
    }

    deinit { reactor.stop() }

    // MARK: Leak checks

    /// Interfaces whose host side is connected.
    package var pluggedInterfaces: Set<PluggedInterface> { state.withLock { $0.interfaces } }

    /// Volumes that are visible on a host.
    package var connectedVolumes: Set<ConnectedVolume> { state.withLock { $0.volumes } }

    // MARK: Time

    /// Moves a manual clock and lets everything happen that is due, before it returns.
    package func advance(by duration: Duration) {
        let (seconds, attoseconds) = duration.components
        reactor.advance(to: clock.now + UInt64(seconds) * 1_000_000_000 + UInt64(attoseconds / 1_000_000_000))
    }

    /// Returns once at least `count` primitives wait for the clock (a delay, a migration): the moment to advance it.
    package func untilSleeping(_ count: Int = 1) async { await reactor.untilSleeping(count) }

    /// How often the guests' thread woke up; it does not while every guest is idle.
    package var wakeUps: Int { reactor.wakeUps }

    /// Timers that are set for guests and primitives.
    package var timers: Int { reactor.timers }

    // MARK: Faults

    package func setHook(_ hook: Hook?) { state.withLock { $0.hook = hook } }

    var hook: Hook? { state.withLock { $0.hook } }

    // MARK: Hosts

    func join(_ host: SimulatedHost) throws(BackendError) {
        try state.withLock { state throws(BackendError) in
            guard state.hosts[host.name] == nil else {
                throw BackendError(.conflict, "there is a host \(host.name) in this world already")
            }
            state.hosts[host.name] = host
        }
    }

    func leave(_ host: SimulatedHost) {
        state.withLock { state in
            if state.hosts[host.name] === host { state.hosts[host.name] = nil }
            state.interfaces = state.interfaces.filter { $0.host != host.name }
            state.volumes = state.volumes.filter { $0.host != host.name }
        }
    }

    func host(_ name: String) -> SimulatedHost? { state.withLock { $0.hosts[name] } }

    var hosts: [SimulatedHost] { state.withLock { Array($0.hosts.values) } }

    func plug(_ interface: PluggedInterface) { state.withLock { _ = $0.interfaces.insert(interface) } }

    func unplug(_ interface: PluggedInterface) { state.withLock { _ = $0.interfaces.remove(interface) } }

    func connect(_ volume: ConnectedVolume) { state.withLock { _ = $0.volumes.insert(volume) } }

    func disconnect(volume: String, at host: String) {
        state.withLock { $0.volumes = $0.volumes.filter { $0.volumeID != volume || $0.host != host } }
    }
}
