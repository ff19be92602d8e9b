import HostBackend
import Testing

@testable import VMOps

/// Every state that two hosts can come to in a live migration, with messages that come late, twice, in any order or
/// never, and with crashes at any point. The hosts decide by the rules that the operations use.
@Suite(.timeLimit(.minutes(5))) struct MigrationModelTests {
    @Test func nothingRunsTwiceAndEverythingEnds() throws {
        let explorer = Explorer()
        explorer.explore()
        print("migration model: \(explorer.count) states, \(explorer.transitions) transitions")
        // A model that does nothing would hold too.
        #expect(explorer.count > 5_000)
        #expect(explorer.arrivals > 0 && explorer.rollbacks > 0 && explorer.crashes > 0)
        #expect(explorer.twice == nil, "runs at both hosts")
        #expect(explorer.stuck == nil, "cannot come to an end any more")
    }

    /// What the checks are worth: without the rule that names the transfer, a late word starts the wrong guest.
    @Test func aDestinationThatForgetsWhichTransferItIsAboutIsFoundOut() {
        let explorer = Explorer(ignoresTransfers: true)
        explorer.explore()
        #expect(explorer.twice != nil || explorer.stuck != nil)
    }

    @Test func aSourceThatGivesItsWordBeforeItIsWrittenDownIsFoundOut() {
        let explorer = Explorer(commitsInMemory: true)
        explorer.explore()
        #expect(explorer.twice != nil || explorer.stuck != nil)
    }
}

/// Both hosts, and every message that was ever sent: one that stays undelivered is lost, one that is delivered again
/// is a repetition.
private struct ModelState: Hashable {
    enum Kind: Int, CaseIterable {
        case prepare, prepared, state, loaded, finish, finished, abandon, abandoned
    }

    enum Phase: Hashable { case idle, preparing, transferring, stopped }

    static let transfers = 3

    // The source: what is on its disk, then what is not.
    var role: InstanceMove.Role?
    var transfer = 0
    /// The backend has written down that the machine left with this transfer.
    var committed = 0
    var phase = Phase.idle
    var begun = 0
    /// Its word was given in memory only.
    var isForgetful = false

    // The destination, all of it on disk.
    var arrival = Arrival(.absent)
    var loaded = 0

    var destroyed = false
    var crashes = 0
    var sent: UInt32 = 0

    var runsAtSource: Bool { committed == 0 && phase != .stopped && !(role == nil && hasLeft) }
    var hasLeft = false
    var runsAtDestination: Bool { if case .here = arrival.state { true } else { false } }

    mutating func send(_ kind: Kind, _ transfer: Int) { sent |= bit(kind, transfer) }
    mutating func take(_ kind: Kind, _ transfer: Int) { sent &= ~bit(kind, transfer) }
    func has(_ kind: Kind, _ transfer: Int) -> Bool { sent & bit(kind, transfer) != 0 }
    private func bit(_ kind: Kind, _ transfer: Int) -> UInt32 {
        1 << UInt32(kind.rawValue * Self.transfers + transfer - 1)
    }

    /// Nobody has anything left to do about any migration.
    var isOver: Bool {
        guard role == nil, phase == .idle else { return false }
        if destroyed { return arrival.state == .absent && !runsAtSource }
        return runsAtDestination != runsAtSource && (runsAtDestination || arrival.state == .absent)
    }
}

/// Goes through all states once, and looks from which of them an end can be reached without a further crash.
private final class Explorer {
    private let ignoresTransfers: Bool
    private let commitsInMemory: Bool
    private var numbers: [ModelState: Int] = [:]
    private var states: [ModelState] = []
    private var sources: [[Int32]] = []
    private(set) var transitions = 0
    private(set) var arrivals = 0
    private(set) var rollbacks = 0
    private(set) var crashes = 0
    private(set) var twice: ModelState?
    private(set) var stuck: ModelState?

    var count: Int { states.count }

    init(ignoresTransfers: Bool = false, commitsInMemory: Bool = false) {
        self.ignoresTransfers = ignoresTransfers
        self.commitsInMemory = commitsInMemory
    }

    func explore() {
        _ = number(ModelState())
        var next = 0
        while next < states.count, states.count < 400_000 {
            let state = states[next]
            if state.runsAtSource, state.runsAtDestination { twice = twice ?? state }
            if state.runsAtDestination { arrivals += 1 }
            for (successor, isFault) in successors(of: state) where successor != state {
                transitions += 1
                let target = number(successor)
                if isFault { crashes += 1 } else { sources[target].append(Int32(next)) }
            }
            next += 1
        }
        findStuck()
    }

    private func number(_ state: ModelState) -> Int {
        if let known = numbers[state] { return known }
        numbers[state] = states.count
        states.append(state)
        sources.append([])
        return states.count - 1
    }

    private func findStuck() {
        var ends = [Bool](repeating: false, count: states.count)
        var queue = states.indices.filter { states[$0].isOver }
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

    private func successors(of state: ModelState) -> [(ModelState, isFault: Bool)] {
        var all: [(ModelState, isFault: Bool)] = []
        func can(isFault: Bool = false, _ change: (inout ModelState) -> Void) {
            var next = state
            change(&next)
            all.append((next, isFault))
        }
        can { self.begin(&$0) }
        can { self.goOn(&$0) }
        can { self.giveUp(&$0) }
        can { self.lookAgain(&$0) }
        can { self.askSource(&$0) }
        can { state in
            guard state.runsAtDestination else { return }
            state.destroyed = true
            state.arrival.state = .absent
        }
        if state.crashes < 2 {
            can(isFault: true) { self.crash(&$0) }
        }
        for transfer in 1...ModelState.transfers {
            for kind in ModelState.Kind.allCases where state.has(kind, transfer) {
                can { self.deliver(kind, transfer, &$0) }
            }
        }
        return all
    }

    private func begin(_ state: inout ModelState) {
        guard state.runsAtSource, state.phase == .idle, state.begun < ModelState.transfers, !state.hasLeft else {
            return
        }
        state.begun += 1
        state.role = .leaving
        state.transfer = state.begun
        state.phase = .preparing
        state.send(.prepare, state.transfer)
    }

    /// The copy is done: the machine stops, and goes.
    private func goOn(_ state: inout ModelState) {
        guard state.phase == .transferring else { return }
        state.phase = .stopped
        state.send(.state, state.transfer)
    }

    /// A limit has passed, or somebody has aborted it.
    private func giveUp(_ state: inout ModelState) {
        guard state.phase != .idle else { return }
        rollbacks += 1
        state.phase = .idle
    }

    private func lookAgain(_ state: inout ModelState) {
        guard state.phase == .idle, let role = state.role else { return }
        switch role.step(machineIsHere: state.committed == 0) {
        case .abandonThere: state.send(.abandon, state.transfer)
        case .recordLeft: state.role = .left
        case .finishThere: state.send(.finish, state.transfer)
        case .cleanUp:
            state.role = nil
            state.committed = 0
            state.hasLeft = true
        case .askSource, .wait: break
        }
    }

    private func crash(_ state: inout ModelState) {
        state.crashes += 1
        state.phase = .idle
        if state.isForgetful {
            state.committed = 0
            state.isForgetful = false
        }
    }

    private func askSource(_ state: inout ModelState) {
        guard case .arriving(let name, _) = state.arrival.state, !knows(name, state) else { return }
        state.arrival.state = .absent
        state.loaded = 0
    }

    private func knows(_ name: String, _ state: ModelState) -> Bool {
        state.role != nil && name == String(state.transfer)
    }

    // MARK: Messages

    private func deliver(_ kind: ModelState.Kind, _ transfer: Int, _ state: inout ModelState) {
        switch kind {
        case .prepare: prepare(transfer, &state)
        case .state:
            // The connection carries it once, and may do so late.
            state.take(.state, transfer)
            guard case .arriving(let name, true) = state.arrival.state, name == String(transfer) else { return }
            state.loaded = transfer
            state.send(.loaded, transfer)
        case .finish: finish(transfer, &state)
        case .abandon: abandon(transfer, &state)
        case .prepared:
            if state.phase == .preparing, state.transfer == transfer { state.phase = .transferring }
        case .loaded:
            guard state.phase == .stopped, state.transfer == transfer else { return }
            state.committed = transfer
            state.isForgetful = commitsInMemory
            state.phase = .idle
        case .finished:
            if state.role == .left, state.transfer == transfer { state.role = .delivered }
        case .abandoned:
            guard state.role == .leaving, state.transfer == transfer, state.phase == .idle, state.committed == 0
            else { return }
            state.role = nil
        }
    }

    /// As the destination is told; a careless one takes every word for one about the transfer at hand.
    private func name(_ transfer: Int, _ state: ModelState) -> String {
        if ignoresTransfers, case .arriving(let present, _) = state.arrival.state { return present }
        return String(transfer)
    }

    private func prepare(_ transfer: Int, _ state: inout ModelState) {
        switch state.arrival.answer(to: .prepare(String(transfer))) {
        case .prepare:
            state.arrival.state = .arriving(transfer: String(transfer), isPrepared: true)
            state.loaded = 0
            state.send(.prepared, transfer)
        case .repeatAnswer: state.send(.prepared, transfer)
        case .ask(let other):
            guard !knows(other, state) else { return }
            state.arrival.state = .arriving(transfer: String(transfer), isPrepared: true)
            state.loaded = 0
            state.send(.prepared, transfer)
        default: break
        }
    }

    private func finish(_ transfer: Int, _ state: inout ModelState) {
        switch state.arrival.answer(to: .finish(name(transfer, state))) {
        case .run:
            guard state.loaded != 0, knows(name(transfer, state), state) else { return }
            state.arrival.state = .here(transfer: String(transfer))
            state.loaded = 0
            state.send(.finished, transfer)
        case .done, .notFound: state.send(.finished, transfer)
        default: break
        }
    }

    private func abandon(_ transfer: Int, _ state: inout ModelState) {
        switch state.arrival.answer(to: .abandon(name(transfer, state))) {
        case .remove:
            state.arrival.state = .absent
            state.loaded = 0
            state.send(.abandoned, transfer)
        case .done: state.send(.abandoned, transfer)
        default: break
        }
    }
}
