import DequeModule

/// Decides which mutating requests start, wait, or stay with the broker.
///
/// Hosts with waiting requests take turns, so that a flood for one does not keep the others waiting; a host's own
/// requests keep their order. Requests that operations of other processes wait for, the partners', have places and a
/// queue of their own, each as large as that of all others: else two processes that are full of operations which ask
/// each other would wait for ever. A value without I/O: its owner does what the answers say.
struct Admission<Ticket> {
    enum Verdict: Hashable {
        /// A place among the running is taken: journal it and run it.
        case start
        /// A place in the queue is reserved: journal it, then ``enqueue(_:host:partner:)`` it.
        case queue
        /// No place: keep it unsettled and ``hold(_:host:partner:)`` it.
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

    /// Requests of one kind.
    private struct Pool {
        var hosts: [Host]
        /// Hosts with something ready, in the order of their turns.
        var turns: Deque<Int> = []
        var held: Deque<(ticket: Ticket, host: Int)> = []
        var running = 0
        var waiting = 0

        init(hosts: Int) { self.hosts = Array(repeating: Host(), count: hosts) }

        mutating func place(host: Int, _ limits: AdmissionLimits) -> Verdict {
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

        mutating func append(_ ticket: Ticket, _ host: Int) {
            hosts[host].ready.append(ticket)
            if hosts[host].ready.count == 1 { turns.append(host) }
        }

        mutating func next(_ limits: AdmissionLimits) -> Ticket? {
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

        mutating func nextHeld(_ limits: AdmissionLimits) -> (ticket: Ticket, verdict: Verdict)? {
            guard let first = held.first else { return nil }
            let verdict = place(host: first.host, limits)
            guard verdict != .hold else { return nil }
            held.removeFirst()
            hosts[first.host].held -= 1
            return (first.ticket, verdict)
        }

        mutating func dropHeld(where isGone: (Ticket) -> Bool) -> [Ticket] {
            let gone = held.filter { isGone($0.ticket) }
            guard !gone.isEmpty else { return [] }
            held.removeAll { isGone($0.ticket) }
            for each in gone { hosts[each.host].held -= 1 }
            return gone.map(\.ticket)
        }

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

    var limits: AdmissionLimits
    private var ordinary: Pool
    private var partners: Pool

    var running: Int { ordinary.running + partners.running }
    /// Requests in the queues and those about to be.
    var waiting: Int { ordinary.waiting + partners.waiting }
    var held: Int { ordinary.held.count + partners.held.count }

    init(hosts: Int, limits: AdmissionLimits) {
        ordinary = Pool(hosts: hosts)
        partners = Pool(hosts: hosts)
        self.limits = limits
    }

    private mutating func change<Result>(_ partner: Bool, _ body: (inout Pool) -> Result) -> Result {
        partner ? body(&partners) : body(&ordinary)
    }

    /// A request has come.
    mutating func offer(host: Int, partner: Bool = false) -> Verdict {
        let limits = limits
        return change(partner) { pool in
            // Behind those of its host that are held already, or it would overtake them.
            pool.hosts[host].held == 0 ? pool.place(host: host, limits) : .hold
        }
    }

    /// A journalled request takes its reserved place in the queue.
    mutating func enqueue(_ ticket: Ticket, host: Int, partner: Bool = false) {
        change(partner) { pool in
            pool.hosts[host].reserved -= 1
            pool.append(ticket, host)
        }
    }

    /// A request from the journal after a restart: it was accepted before, so no limit applies.
    mutating func restore(_ ticket: Ticket, host: Int, partner: Bool = false) {
        change(partner) { pool in
            pool.waiting += 1
            pool.append(ticket, host)
        }
    }

    /// A reserved place is not needed: the request was a duplicate or could not be journalled.
    mutating func withdraw(host: Int, partner: Bool = false) {
        change(partner) { pool in
            pool.hosts[host].reserved -= 1
            pool.waiting -= 1
        }
    }

    /// A running request has ended, or did not start after all.
    mutating func ended(host: Int, partner: Bool = false) {
        change(partner) { pool in
            pool.hosts[host].running -= 1
            pool.running -= 1
        }
    }

    /// The next request to start now; its place among the running is taken.
    mutating func next() -> Ticket? { partners.next(limits) ?? ordinary.next(limits) }

    /// Keeps a request that has no place; bounded by what the broker delivers unacknowledged.
    mutating func hold(_ ticket: Ticket, host: Int, partner: Bool = false) {
        change(partner) { pool in
            pool.hosts[host].held += 1
            pool.held.append((ticket, host))
        }
    }

    /// The next held request that has a place now, and which.
    mutating func nextHeld() -> (ticket: Ticket, verdict: Verdict)? {
        partners.nextHeld(limits) ?? ordinary.nextHeld(limits)
    }

    /// Forgets held requests: the broker delivers them again.
    mutating func dropHeld(where isGone: (Ticket) -> Bool) -> [Ticket] {
        partners.dropHeld(where: isGone) + ordinary.dropHeld(where: isGone)
    }

    /// Takes out the waiting requests that `isChosen`; the others keep their order.
    mutating func removeWaiting(where isChosen: (Ticket) -> Bool) -> [Ticket] {
        partners.removeWaiting(where: isChosen) + ordinary.removeWaiting(where: isChosen)
    }
}
