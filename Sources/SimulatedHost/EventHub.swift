import HostBackend
import Synchronization

/// Hands a host's events to its subscribers in the order in which they happened.
///
/// A subscriber that falls behind by more than ``bufferLimit`` events loses the oldest; the gap shows in the sequence.
final class EventHub: Sendable {
    static let bufferLimit = 8192

    private struct State {
        var sequence: UInt64 = 0
        var nextID: UInt64 = 0
        var subscribers: [UInt64: AsyncStream<MachineEvent>.Continuation] = [:]
        var ended = false
    }

    private let state = Mutex(State())

    func subscribe() -> AsyncStream<MachineEvent> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: MachineEvent.self,
            bufferingPolicy: .bufferingNewest(Self.bufferLimit)
        )
        let id = state.withLock { state -> UInt64? in
            if state.ended { return nil }
            state.nextID += 1
            state.subscribers[state.nextID] = continuation
            return state.nextID
        }
        guard let id else {
            continuation.finish()
            return stream
        }
        continuation.onTermination = { [weak self] _ in
            _ = self?.state.withLock { $0.subscribers.removeValue(forKey: id) }
        }
        return stream
    }

    func post(_ uuid: InstanceUUID, _ incarnation: UInt64, _ kind: MachineEvent.Kind) {
        state.withLock { state in
            state.sequence += 1
            let event = MachineEvent(sequence: state.sequence, uuid: uuid, incarnation: incarnation, kind: kind)
            for subscriber in state.subscribers.values { subscriber.yield(event) }
        }
    }

    func end() {
        let subscribers = state.withLock { state in
            state.ended = true
            defer { state.subscribers.removeAll() }
            return Array(state.subscribers.values)
        }
        for subscriber in subscribers { subscriber.finish() }
    }
}
