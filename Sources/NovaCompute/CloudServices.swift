package import OpenStackAPI
import Support
import Synchronization

/// The services of a cloud that a host uses beside the conductor; what is `nil` is done without (Nova's compute RPC,
/// chapter 5).
package struct CloudServices: Sendable {
    package var placement: PlacementClient?
    package var images: ImageClient?
    package var network: NetworkClient?
    /// Where notes are kept of ports that could not be released; `nil`: none are.
    package var leftPorts: LeftPorts?

    /// What is known of the host's provider.
    let provider = ProviderState()
    /// What is known of an instance's ports is read and written by one at a time.
    let refreshes = KeyedLanes()
    /// What is told of ports that boots wait for.
    let plugged = PluggedPorts()
    let builds = BuildsUnderWay()

    package init(
        placement: PlacementClient? = nil,
        images: ImageClient? = nil,
        network: NetworkClient? = nil,
        leftPorts: LeftPorts? = nil
    ) {
        self.leftPorts = leftPorts
        self.placement = placement
        self.images = images
        self.network = network
    }
}

/// The host's provider at the placement service, as far as it is known.
final class ProviderState: Sendable {
    private struct State {
        var uuid: String?
        var node: Int64?
        var isDisabled = false
        /// Consumers that seemed to have no right to what they hold.
        var suspects: Set<String> = []
    }

    /// Of two reports the later one is the true one.
    let lane = SerialLane()
    private let state = Mutex(State())

    /// The compute node's; `nil` until the host is registered.
    var uuid: String? {
        get { state.withLock { $0.uuid } }
        set { state.withLock { $0.uuid = newValue } }
    }

    /// The number of the compute node's record; `nil` until the host is registered.
    var node: Int64? {
        get { state.withLock { $0.node } }
        set { state.withLock { $0.node = newValue } }
    }

    /// Whether an operator keeps new instances away.
    var isDisabled: Bool {
        get { state.withLock { $0.isDisabled } }
        set { state.withLock { $0.isDisabled = newValue } }
    }

    /// Notes who is suspected now.
    ///
    /// - Returns: who was suspected the last time as well.
    func suspect(_ consumers: Set<String>) -> Set<String> {
        state.withLock { state in
            defer { state.suspects = consumers }
            return state.suspects.intersection(consumers)
        }
    }
}
