import HostBackend

/// What is to be done about a cold migration or resize that a host remembers. Docs: migration.md; with ``Arrival`` and
/// ``Departure`` the rules are explored with every loss, repetition and crash by a test.
enum ColdStep: Hashable, Sendable {
    /// Source, not decided: the machine stays here as it was, and the destination is to remove what it made.
    case stay
    /// Source, decided: tell the destination that the machine is its own, until it answers.
    case finishThere
    /// Nothing to do before somebody confirms or reverts.
    case wait
    /// Destination: a source that has forgotten the move will never say a word about it.
    case askSource
    /// Confirmed at the destination: have the source remove what it kept.
    case confirmThere
    /// Reverted at the destination, where the machine is not to run any more: have the source bring it back.
    case revertThere
}

extension InstanceMove.Role {
    var coldStep: ColdStep {
        switch self {
        case .leaving: .stay
        case .left: .finishThere
        case .kept, .delivered, .resized, .arrived: .wait
        case .arriving: .askSource
        case .confirming: .confirmThere
        case .reverting: .revertThere
        }
    }
}

/// The source's answers to the destination of a cold migration, whose words may come late, twice, or after a later
/// migration has begun.
struct Departure: Hashable, Sendable {
    enum State: Hashable, Sendable {
        /// Nothing of any such instance is here.
        case absent
        /// It has left with this transfer, and everything for its way back is here.
        case kept(transfer: String)
        /// It is here, or has left again; by which transfer it came, if by one.
        case other(arrivedBy: String?)
    }

    enum Request: Hashable, Sendable {
        case confirm(String)
        case revert(String)
    }

    enum Answer: Hashable, Sendable {
        /// Remove what was kept.
        case remove
        /// Bring the machine back and run it.
        case takeBack
        /// Done before.
        case done
        case notFound
    }

    var state: State

    init(_ state: State) { self.state = state }

    init(_ record: InstanceRecord?, hasLeft: Bool) {
        guard let record else {
            state = .absent
            return
        }
        if hasLeft, let move = record.move, move.isCold, [.left, .kept].contains(move.role) {
            state = .kept(transfer: move.transfer)
        } else {
            state = .other(arrivedBy: record.arrivedBy)
        }
    }

    /// The transfer by which an instance comes back.
    static func wayBack(of transfer: String) -> String { "back-" + transfer }

    func answer(to request: Request) -> Answer {
        switch (request, state) {
        case (.confirm(let transfer), .kept(let present)): transfer == present ? .remove : .done
        case (.confirm, _): .done
        case (.revert(let transfer), .kept(let present)): transfer == present ? .takeBack : .notFound
        case (.revert(let transfer), .other(let arrivedBy)):
            arrivedBy == Self.wayBack(of: transfer) ? .done : .notFound
        case (.revert, .absent): .notFound
        }
    }
}
