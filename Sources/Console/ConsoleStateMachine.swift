import Support

/// The state of a machine's console (VMOps semantics, section 5.4).
package enum ConsoleState: String, Sendable, Hashable, CaseIterable {
    case idle, connecting, attached, draining, closed, backoff
    /// The log cannot be written; capture goes on in memory and the writing is repeated.
    case failed
}

/// What a console stream does next, as a pure value: events in, one action out, the time passed in.
///
/// The end of a stream is no error, and does not spin: an end soon after attaching and without a byte is *immediate*,
/// and more than `spinLimit` of them within `spinWindow` wait for `reconnectMax`.
package struct ConsoleStateMachine: Sendable {
    package enum Event: Sendable, Hashable {
        case start
        case opened
        /// The endpoint cannot be opened now; `forGood` if it never can.
        case openFailed(forGood: Bool)
        case ended(bytes: Int)
        case pauseOver
        case closeRequested
    }

    package enum Action: Sendable, Hashable {
        case none
        case connect
        case read
        case pause(Duration)
        /// Read what is left, within the drain timeout.
        case drain
        case finish
    }

    package private(set) var state = ConsoleState.idle
    /// Connections made after the first one.
    package private(set) var reconnects = 0
    /// Whether the backend said that there is no console.
    package private(set) var hasNoConsole = false

    private let settings: ConsoleSettings
    private var backoff: Backoff
    private var wasAttached = false
    private var attachedAt = Duration.zero
    private var immediateEnds: [Duration] = []

    package init(_ settings: ConsoleSettings) {
        self.settings = settings
        backoff = Backoff(initial: settings.reconnectInitial, maximum: settings.reconnectMax)
    }

    /// `now` is any clock that only goes forward.
    package mutating func event(_ event: Event, now: Duration) -> Action {
        switch (state, event) {
        case (.idle, .start), (.backoff, .pauseOver):
            state = .connecting
            return .connect
        case (.connecting, .opened):
            state = .attached
            attachedAt = now
            if wasAttached { reconnects += 1 }
            wasAttached = true
            return .read
        case (.connecting, .openFailed(let forGood)):
            hasNoConsole = forGood
            state = forGood ? .closed : .backoff
            return forGood ? .finish : .pause(backoff.next())
        case (.attached, .ended(let bytes)):
            state = .backoff
            return .pause(pauseAfterEnd(bytes: bytes, now: now))
        case (.attached, .closeRequested):
            state = .draining
            return .drain
        case (.draining, .ended), (.idle, .closeRequested), (.connecting, .closeRequested),
            (.backoff, .closeRequested):
            state = .closed
            return .finish
        default:
            return .none
        }
    }

    private mutating func pauseAfterEnd(bytes: Int, now: Duration) -> Duration {
        guard bytes == 0, now - attachedAt < settings.spinWindow else {
            immediateEnds = []
            backoff.reset()
            return backoff.next()
        }
        immediateEnds.append(now)
        immediateEnds.removeAll { now - $0 >= settings.spinWindow }
        if immediateEnds.count > settings.spinLimit {
            immediateEnds.removeFirst()
            return settings.reconnectMax
        }
        return backoff.next()
    }
}
