import HostBackend
import Testing

@testable import VMOps

/// Every state that two hosts can come to in a cold migration that is confirmed, reverted, destroyed or taken back, with
/// messages that come late, twice, in any order or never, and with crashes at any point. The hosts decide by the rules
/// that the operations use.
@Suite(.timeLimit(.minutes(3))) struct ColdMoveModelTests {
    @Test func nothingRunsTwiceAndEverythingEnds() throws {
        let explorer = ColdExplorer()
        explorer.explore()
        print("cold migration model: \(explorer.count) states, \(explorer.transitions) transitions")
        // A model that does nothing would hold too.
        #expect(explorer.count > 1_000)
        #expect(explorer.arrivals > 0 && explorer.returns > 0 && explorer.crashes > 0)
        #expect(explorer.twice == nil, "may run at both hosts")
        #expect(explorer.stuck == nil, "cannot come to an end any more")
    }

    /// What the checks are worth: each of these mistakes is found.
    @Test(arguments: [
        ColdExplorer.Mistake.wordBeforeItIsWritten, .removesBeforeItIsAsked, .forgetsWhatItKeeps, .ignoresTransfers,
    ])
    func aMistakeIsFoundOut(_ mistake: ColdExplorer.Mistake) {
        let explorer = ColdExplorer(mistake)
        explorer.explore()
        #expect(explorer.twice != nil || explorer.stuck != nil)
    }
}

/// Both hosts' disks, what they are doing, and every message that was ever sent: one that stays undelivered is lost, one
/// that is delivered again is a repetition.
struct ColdState: Hashable {
    enum Kind: Int, CaseIterable {
        case prepare, prepared, build, built, finish, finished, abandon, abandoned, confirm, confirmed, revert, reverted
    }

    enum Phase: Hashable { case idle, preparing, building }

    static let transfers = 2

    // The source's disk: a record, with or without a move; then what it is doing.
    var isAtSource = true
    var role: InstanceMove.Role?
    var transfer = 0
    /// The transfer by which it came back.
    var cameBack = 0
    var phase = Phase.idle
    var begun = 0
    /// Decided in memory only.
    var isForgetful = false

    // The destination's disk.
    var arrival = Arrival(.absent)
    /// What it has decided about the instance that is there; `reverting` and a destroyed one's `confirming` run nothing.
    var decision: InstanceMove.Role?
    var arrived = 0
    var isDestroyedThere = false

    var crashes = 0
    var sent: UInt32 = 0

    mutating func send(_ kind: Kind, _ transfer: Int) { sent |= bit(kind, transfer) }
    func has(_ kind: Kind, _ transfer: Int) -> Bool { sent & bit(kind, transfer) != 0 }
    private func bit(_ kind: Kind, _ transfer: Int) -> UInt32 {
        1 << UInt32(kind.rawValue * Self.transfers + transfer - 1)
    }

    /// Whether somebody may start the machine there, the move's own way back included.
    var mayRunAtSource: Bool {
        guard isAtSource else { return false }
        return role == nil || role == .leaving && phase == .idle
    }

    var mayRunAtDestination: Bool {
        guard case .here = arrival.state, !isDestroyedThere else { return false }
        return decision != .reverting
    }

    /// Nobody has anything left to do, nor to decide.
    var isOver: Bool {
        guard role == nil, phase == .idle, decision == nil else { return false }
        if case .arriving = arrival.state { return false }
        return true
    }

    var exists: Bool { isAtSource || arrival.state != .absent }
}

/// Goes through all states once, and looks from which of them an end can be reached without a further crash.
final class ColdExplorer {
    enum Mistake: CaseIterable, Sendable {
        case none, wordBeforeItIsWritten, removesBeforeItIsAsked, forgetsWhatItKeeps, ignoresTransfers
    }

    private let mistake: Mistake
    private var numbers: [ColdState: Int] = [:]
    private var states: [ColdState] = []
    private var sources: [[Int32]] = []
    private(set) var transitions = 0
    private(set) var arrivals = 0
    private(set) var returns = 0
    private(set) var crashes = 0
    private(set) var twice: ColdState?
    private(set) var stuck: ColdState?

    var count: Int { states.count }

    init(_ mistake: Mistake = .none) { self.mistake = mistake }

    func explore() {
        _ = number(ColdState())
        var next = 0
        while next < states.count, states.count < 400_000 {
            let state = states[next]
            if state.mayRunAtSource, state.mayRunAtDestination { twice = twice ?? state }
            if state.mayRunAtDestination { arrivals += 1 }
            if state.cameBack > 0 { returns += 1 }
            for (successor, isFault) in successors(of: state) where successor != state {
                transitions += 1
                let target = number(successor)
                if isFault { crashes += 1 } else { sources[target].append(Int32(next)) }
            }
            next += 1
        }
        findStuck()
    }

    private func number(_ state: ColdState) -> Int {
        if let known = numbers[state] { return known }
        numbers[state] = states.count
        states.append(state)
        sources.append([])
        return states.count - 1
    }

    private func findStuck() {
        var ends = [Bool](repeating: false, count: states.count)
        // An instance that was not destroyed must be somewhere in the end.
        var queue = states.indices.filter { states[$0].isOver && (states[$0].exists || states[$0].isDestroyedThere) }
        for place in queue { ends[place] = true }
        while let place = queue.popLast() {
            for source in sources[place] where !ends[Int(source)] {
                ends[Int(source)] = true
                queue.append(Int(source))
            }
        }
        stuck = ends.firstIndex(of: false).map { states[$0] }
    }

    // MARK: What can happen next

    private func successors(of state: ColdState) -> [(ColdState, isFault: Bool)] {
        var all: [(ColdState, isFault: Bool)] = []
        func can(isFault: Bool = false, _ change: (inout ColdState) -> Void) {
            var next = state
            change(&next)
            all.append((next, isFault))
        }
        can { self.begin(&$0) }
        can { if $0.phase != .idle { $0.phase = .idle } }
        can { self.sourceLooks(&$0) }
        can { self.destinationLooks(&$0) }
        can { if $0.mayRunAtDestination, $0.decision == .resized { $0.decision = .confirming } }
        can { self.revert(&$0) }
        can { self.destroy(&$0) }
        if state.crashes < 2 {
            can(isFault: true) { self.crash(&$0) }
        }
        for transfer in 1...ColdState.transfers {
            for kind in ColdState.Kind.allCases where state.has(kind, transfer) {
                can { self.deliver(kind, transfer, &$0) }
            }
        }
        return all
    }

    private func begin(_ state: inout ColdState) {
        guard state.isAtSource, state.role == nil, state.phase == .idle, state.begun < ColdState.transfers else {
            return
        }
        state.begun += 1
        state.role = .leaving
        state.transfer = state.begun
        state.phase = .preparing
        state.send(.prepare, state.transfer)
    }

    private func revert(_ state: inout ColdState) {
        guard state.mayRunAtDestination, state.decision == .resized, knows(state.arrived, state) else { return }
        state.decision = .reverting
    }

    private func destroy(_ state: inout ColdState) {
        guard state.mayRunAtDestination else { return }
        state.isDestroyedThere = true
        if state.decision == nil { state.arrival.state = .absent } else { state.decision = .confirming }
    }

    private func sourceLooks(_ state: inout ColdState) {
        guard state.phase == .idle, let role = state.role else { return }
        switch role.coldStep {
        case .stay: state.send(.abandon, state.transfer)
        case .finishThere: state.send(.finish, state.transfer)
        default: break
        }
    }

    private func destinationLooks(_ state: inout ColdState) {
        if case .arriving(let name, _) = state.arrival.state {
            if let transfer = Int(name), !knows(transfer, state) { state.arrival.state = .absent }
            return
        }
        switch state.decision?.coldStep {
        case .confirmThere: state.send(.confirm, state.arrived)
        case .revertThere:
            state.send(.revert, state.arrived)
            if mistake == .removesBeforeItIsAsked { leave(&state) }
        default: break
        }
    }

    private func crash(_ state: inout ColdState) {
        state.crashes += 1
        state.phase = .idle
        if state.isForgetful {
            state.isForgetful = false
            if state.role == .left || state.role == .kept { state.role = .leaving }
        }
    }

    private func knows(_ transfer: Int, _ state: ColdState) -> Bool { state.role != nil && transfer == state.transfer }

    /// Nothing of the instance is at the destination any more.
    private func leave(_ state: inout ColdState) {
        state.arrival.state = .absent
        state.decision = nil
        state.arrived = 0
    }

    // MARK: Messages

    private func deliver(_ kind: ColdState.Kind, _ transfer: Int, _ state: inout ColdState) {
        switch kind {
        case .prepare: prepare(transfer, &state)
        case .build:
            guard case .arriving(let name, _) = state.arrival.state, name == String(transfer) else { return }
            state.arrival.state = .arriving(transfer: name, isPrepared: true)
            state.send(.built, transfer)
        case .finish: finish(transfer, &state)
        case .abandon: abandon(transfer, &state)
        case .confirm: confirm(transfer, &state)
        case .revert: takeBack(transfer, &state)
        case .prepared:
            guard state.phase == .preparing, state.transfer == transfer else { return }
            state.phase = .building
            state.send(.build, transfer)
        case .built:
            guard state.phase == .building, state.transfer == transfer else { return }
            state.phase = .idle
            state.role = .left
            state.isForgetful = mistake == .wordBeforeItIsWritten
        case .finished:
            guard state.role == .left, state.transfer == transfer else { return }
            state.role = .kept
            if mistake == .forgetsWhatItKeeps {
                state.role = nil
                state.isAtSource = false
            }
        case .abandoned:
            guard state.role == .leaving, state.transfer == transfer, state.phase == .idle else { return }
            state.role = nil
        case .confirmed:
            guard state.decision == .confirming, state.arrived == transfer else { return }
            state.decision = nil
            if state.isDestroyedThere { leave(&state) }
        case .reverted:
            guard state.decision == .reverting, state.arrived == transfer else { return }
            leave(&state)
        }
    }

    private func prepare(_ transfer: Int, _ state: inout ColdState) {
        // What is on its way back or out is nothing that a new one may replace.
        if state.decision == .reverting || state.isDestroyedThere && state.decision != nil { return }
        switch state.arrival.answer(to: .prepare(String(transfer))) {
        case .prepare, .repeatAnswer:
            if case .arriving = state.arrival.state {
            } else {
                state.arrival.state = .arriving(transfer: String(transfer), isPrepared: false)
            }
            state.send(.prepared, transfer)
        case .ask(let other):
            guard let number = Int(other), !knows(number, state) else { return }
            state.arrival.state = .arriving(transfer: String(transfer), isPrepared: false)
            state.send(.prepared, transfer)
        default: break
        }
    }

    private func finish(_ transfer: Int, _ state: inout ColdState) {
        var name = String(transfer)
        if mistake == .ignoresTransfers, case .arriving(let present, _) = state.arrival.state { name = present }
        if state.decision == .reverting {
            state.send(.finished, transfer)
            return
        }
        switch state.arrival.answer(to: .finish(name)) {
        case .run:
            guard knows(transfer, state) || mistake == .ignoresTransfers else { return }
            state.arrival.state = .here(transfer: name)
            state.arrived = Int(name) ?? 0
            state.decision = .resized
            state.send(.finished, transfer)
        case .done, .notFound: state.send(.finished, transfer)
        default: break
        }
    }

    private func abandon(_ transfer: Int, _ state: inout ColdState) {
        switch state.arrival.answer(to: .abandon(String(transfer))) {
        case .remove:
            state.arrival.state = .absent
            state.send(.abandoned, transfer)
        case .done: state.send(.abandoned, transfer)
        default: break
        }
    }

    private func departure(_ state: ColdState) -> Departure {
        guard state.isAtSource else { return Departure(.absent) }
        if state.role == .left || state.role == .kept { return Departure(.kept(transfer: String(state.transfer))) }
        let back = state.cameBack > 0 ? Departure.wayBack(of: String(state.cameBack)) : nil
        return Departure(.other(arrivedBy: back))
    }

    private func confirm(_ transfer: Int, _ state: inout ColdState) {
        switch departure(state).answer(to: .confirm(String(transfer))) {
        case .remove:
            state.isAtSource = false
            state.role = nil
            state.send(.confirmed, transfer)
        case .done: state.send(.confirmed, transfer)
        default: break
        }
    }

    private func takeBack(_ transfer: Int, _ state: inout ColdState) {
        switch departure(state).answer(to: .revert(String(transfer))) {
        case .takeBack:
            state.role = nil
            state.cameBack = transfer
            state.send(.reverted, transfer)
        case .done: state.send(.reverted, transfer)
        default: break
        }
    }
}
