import DequeModule

/// Decides which mutating requests start, wait, or stay with the broker.
///
/// Hosts with waiting requests take turns, so that a flood for one does not keep the others waiting; a host's own
/// requests keep their order. A value without I/O: its owner does what the answers say.
struct Admission<Ticket> {
    enum Verdict: Hashable {
        /// A place among the running is taken: journal it and run it.
        case start
        /// A place in the queue is reserved: journal it, then ``enqueue(_:host:)`` it.
        case queue
        /// No place: keep it unsettled and ``hold(_:host:)`` it.
        case hold
    }

    private struct Host {
        var running = 0
        /// Ready to start, in order of arrival.
        var ready: Deque<Ticket> = []
        /// Being journalled before they are ready.
        var reserved = 0
        var held = 0
    }

    var limits: AdmissionLimits
    private var hosts: [Host]
    /// Hosts with something ready, in the order of their turns.
    private var turns: Deque<Int> = []
    private var heldTickets: Deque<(ticket: Ticket, host: Int)> = []
    private(set) var running = 0
    /// Requests in the queue and those about to be.
    private(set) var waiting = 0
    var held: Int { heldTickets.count }

    init(hosts: Int, limits: AdmissionLimits) {
        self.hosts = Array(repeating: Host(), count: hosts)
        self.limits = limits
    }

    /// A request has come.
    mutating func offer(host: Int) -> Verdict {
        // Behind those of its host that are held already, or it would overtake them.
        guard hosts[host].held == 0 else { return .hold }
        return place(host: host)
    }

    private mutating func place(host: Int) -> Verdict {
        let idle = hosts[host].ready.isEmpty && hosts[host].reserved == 0
        if idle, running < limits.running, hosts[host].running < limits.runningPerHost {
            running += 1
            hosts[host].running += 1
            return .start
        }
        guard waiting < limits.queued else { return .hold }
        waiting += 1
        hosts[host].reserved += 1
        return .queue
    }

    /// A journalled request takes its reserved place in the queue.
    mutating func enqueue(_ ticket: Ticket, host: Int) {
        hosts[host].reserved -= 1
        append(ticket, host)
    }

    /// A request from the journal after a restart: it was accepted before, so no limit applies.
    mutating func restore(_ ticket: Ticket, host: Int) {
        waiting += 1
        append(ticket, host)
    }

    private mutating func append(_ ticket: Ticket, _ host: Int) {
        hosts[host].ready.append(ticket)
        if hosts[host].ready.count == 1 { turns.append(host) }
    }

    /// A reserved place is not needed: the request was a duplicate or could not be journalled.
    mutating func withdraw(host: Int) {
        hosts[host].reserved -= 1
        waiting -= 1
    }

    /// A running request has ended, or did not start after all.
    mutating func ended(host: Int) {
        hosts[host].running -= 1
        running -= 1
    }

    /// The next request to start now; its place among the running is taken.
    mutating func next() -> Ticket? {
        guard running < limits.running else { return nil }
        for _ in 0..<turns.count {
            guard let host = turns.popFirst() else { return nil }
            guard hosts[host].running < limits.runningPerHost, let ticket = hosts[host].ready.popFirst() else {
                turns.append(host)
                continue
            }
            if !hosts[host].ready.isEmpty { turns.append(host) }
            waiting -= 1
            running += 1
            hosts[host].running += 1
            return ticket
        }
        return nil
    }

    /// Keeps a request that has no place; bounded by what the broker delivers unacknowledged.
    mutating func hold(_ ticket: Ticket, host: Int) {
        hosts[host].held += 1
        heldTickets.append((ticket, host))
    }

    /// The next held request that has a place now, and which.
    mutating func nextHeld() -> (ticket: Ticket, verdict: Verdict)? {
        guard let first = heldTickets.first else { return nil }
        let verdict = place(host: first.host)
        guard verdict != .hold else { return nil }
        heldTickets.removeFirst()
        hosts[first.host].held -= 1
        return (first.ticket, verdict)
    }

    /// Forgets held requests: the broker delivers them again.
    mutating func dropHeld(where isGone: (Ticket) -> Bool) -> [Ticket] {
        let gone = heldTickets.filter { isGone($0.ticket) }
        guard !gone.isEmpty else { return [] }
        heldTickets.removeAll { isGone($0.ticket) }
        for each in gone { hosts[each.host].held -= 1 }
        return gone.map(\.ticket)
    }

    /// Takes out the waiting requests that `isChosen`; the others keep their order.
    mutating func removeWaiting(where isChosen: (Ticket) -> Bool) -> [Ticket] {
        var removed: [Ticket] = []
        for host in hosts.indices {
            removed += hosts[host].ready.filter(isChosen)
            hosts[host].ready.removeAll(where: isChosen)
        }
        waiting -= removed.count
        turns.removeAll { hosts[$0].ready.isEmpty }
        return removed
    }
}
