import Support
import Synchronization

/// A lane for each key: what is done for one runs one after the other. Lanes that nobody uses are dropped when there are
/// ``limit`` of them.
final class KeyedLanes: Sendable {
    private static let limit = 1024

    private let lanes = Mutex<[String: SerialLane]>([:])

    func lane(_ key: String) -> SerialLane {
        lanes.withLock { lanes in
            if let lane = lanes[key] { return lane }
            if lanes.count >= Self.limit { lanes = lanes.filter { $0.value.isBusy || $0.value.waiting > 0 } }
            let lane = SerialLane()
            lanes[key] = lane
            return lane
        }
    }
}
