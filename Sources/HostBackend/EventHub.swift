import Synchronization

/// Hands a host's events to its subscribers in the order in which they happened.
///
/// A subscriber that falls behind by more than ``bufferLimit`` events loses the oldest; the gap shows in the sequence.
/// If told so, it keeps the events from before the first subscriber for it, at most ``bufferLimit``: what a host finds
/// when it connects has happened before anybody can listen.
package final class EventHub: Sendable {
    package static let bufferLimit = 8192

    private struct State {
        var sequence: UInt64 = 0
        var nextID: UInt64 = 0
        var subscribers: [UInt64: AsyncStream<MachineEvent>.Continuation] = [:]
        /// Kept for the first subscriber; `nil` once it has come.
        var early: [MachineEvent]?
        var ended = false
    }

    private let state = Mutex(State())

    package init(keepsEarlyEvents: Bool = false) {
        if keepsEarlyEvents { state.withLock { $0.early = [] } }
    }

    /// Events from now on; the first subscriber gets those before as well. The stream ends with ``end()``.
    package func subscribe() -> AsyncStream<MachineEvent> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: MachineEvent.self,
            bufferingPolicy: .bufferingNewest(Self.bufferLimit)
        )
        let id = state.withLock { state -> UInt64? in
            if state.ended { return nil }
            state.nextID += 1
            state.subscribers[state.nextID] = continuation
            for event in state.early ?? [] { continuation.yield(event) }
            state.early = nil
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

    /// Never blocks; callable with locks of one's own held.
    package func post(_ uuid: InstanceUUID, _ incarnation: UInt64, _ kind: MachineEvent.Kind) {
        state.withLock { state in
            state.sequence += 1
            let event = MachineEvent(sequence: state.sequence, uuid: uuid, incarnation: incarnation, kind: kind)
            if let count = state.early?.count, count < Self.bufferLimit { state.early?.append(event) }
            for subscriber in state.subscribers.values { subscriber.yield(event) }
        }
    }

    /// Ends every stream, those of later subscribers too.
    package func end() {
        let subscribers = state.withLock { state in
            state.ended = true
            state.early = nil
            defer { state.subscribers.removeAll() }
            return Array(state.subscribers.values)
        }
        for subscriber in subscribers { subscriber.finish() }
    }
}
