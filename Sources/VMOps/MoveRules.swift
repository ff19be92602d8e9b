import HostBackend

/// What is to be done about a live migration that a host remembers. Docs: migration.md; the rules are explored with
/// every loss, repetition and crash by a test.
enum MoveStep: Hashable, Sendable {
    /// Source, machine here: have the destination remove what it prepared, then forget the migration.
    case abandonThere
    /// Source, machine gone: write that down; from then on it is finished, never taken back by itself.
    case recordLeft
    /// Source: tell the destination that it may run the machine, until it says that it does.
    case finishThere
    /// Source, machine at the destination: move the log, remove what is left here, then forget the migration.
    case cleanUp
    /// Destination: a source that has forgotten the migration will never say a word about it.
    case askSource
    /// Only a cold migration leads there, see ``ColdStep``.
    case wait
}

extension InstanceMove.Role {
    /// - Parameter machineIsHere: whether the backend has a machine that is this host's; only a source asks.
    func step(machineIsHere: Bool) -> MoveStep {
        switch self {
        case .leaving: machineIsHere ? .abandonThere : .recordLeft
        case .left: .finishThere
        case .delivered: .cleanUp
        case .arriving, .arrived: .askSource
        case .kept, .resized, .confirming, .reverting: .wait
        }
    }
}

/// The destination's answers to the source, which may come late, twice, or after a later migration has begun. Each
/// names its transfer, and nothing is done for another one than the one at hand.
struct Arrival: Hashable, Sendable {
    enum State: Hashable, Sendable {
        case absent
        /// Waiting for the source's word; once prepared, the guest may be here already.
        case arriving(transfer: String, isPrepared: Bool)
        /// Runs here; by which transfer it came, if by one.
        case here(transfer: String?)
    }

    enum Request: Hashable, Sendable {
        case prepare(String)
        case finish(String)
        case abandon(String)
    }

    enum Answer: Hashable, Sendable {
        /// Record it, then make everything ready, anew where something is there already.
        case prepare
        /// All is ready: only say so again.
        case repeatAnswer
        /// Another transfer waits here: only if its source has forgotten it may this one take its place.
        case ask(other: String)
        /// The uuid is taken.
        case exists
        /// Let the machine run and record it.
        case run
        /// Done before.
        case done
        /// Nothing of that transfer is or will be here.
        case notFound
        /// Remove what was prepared.
        case remove
        /// It runs here and cannot be abandoned.
        case refuse
    }

    var state: State

    init(_ state: State) { self.state = state }

    init(_ record: InstanceRecord?) {
        guard let record else {
            state = .absent
            return
        }
        if !record.complete, let move = record.move, move.role == .arriving {
            state = .arriving(transfer: move.transfer, isPrepared: move.isPrepared)
        } else {
            state = .here(transfer: record.arrivedBy)
        }
    }

    func answer(to request: Request) -> Answer {
        switch (request, state) {
        case (.prepare, .absent): .prepare
        case (.prepare(let transfer), .arriving(let present, let isPrepared)):
            transfer != present ? .ask(other: present) : isPrepared ? .repeatAnswer : .prepare
        case (.prepare, .here): .exists
        case (.finish(let transfer), .arriving(let present, _)): transfer == present ? .run : .notFound
        case (.finish(let transfer), .here(let present)): present == transfer || present == nil ? .done : .notFound
        case (.finish, .absent): .notFound
        case (.abandon(let transfer), .arriving(let present, _)): transfer == present ? .remove : .done
        case (.abandon(let transfer), .here(let present)): present == transfer ? .refuse : .done
        case (.abandon, .absent): .done
        }
    }
}
