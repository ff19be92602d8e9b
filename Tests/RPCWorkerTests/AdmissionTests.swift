import Testing

@testable import RPCWorker

@Suite struct AdmissionTests {
    private func admission(_ hosts: Int = 2, running: Int = 2, perHost: Int = 2, queued: Int = 2) -> Admission<String> {
        Admission(
            hosts: hosts,
            limits: AdmissionLimits(running: running, runningPerHost: perHost, queued: queued)
        )
    }

    @Test func startsUntilFullThenQueuesThenHolds() {
        var admission = admission()
        #expect((0..<5).map { _ in admission.offer(host: 0) } == [.start, .start, .queue, .queue, .hold])
        #expect(admission.running == 2)
        #expect(admission.waiting == 2)
    }

    @Test func keepsTheOrderOfAHost() {
        var admission = admission(running: 1, queued: 10)
        #expect(admission.offer(host: 0) == .start)
        for name in ["a", "b"] {
            #expect(admission.offer(host: 0) == .queue)
            admission.enqueue(name, host: 0)
        }
        admission.ended(host: 0)
        // A place is free, but not for one that would overtake.
        #expect(admission.offer(host: 0) == .queue)
        admission.enqueue("c", host: 0)
        var order: [String] = []
        while let next = admission.next() {
            order.append(next)
            admission.ended(host: 0)
        }
        #expect(order == ["a", "b", "c"])
        #expect(admission.waiting == 0 && admission.running == 0)
    }

    @Test func hostsTakeTurns() {
        var admission = admission(running: 0, queued: 100)
        for name in ["a1", "a2", "a3"] {
            #expect(admission.offer(host: 0) == .queue)
            admission.enqueue(name, host: 0)
        }
        #expect(admission.offer(host: 1) == .queue)
        admission.enqueue("b1", host: 1)
        admission.limits.running = 1
        var order: [String] = []
        while let next = admission.next() {
            order.append(next)
            admission.ended(host: next.hasPrefix("a") ? 0 : 1)
        }
        #expect(order == ["a1", "b1", "a2", "a3"])
    }

    /// Or two processes full of operations that ask each other would wait for ever.
    @Test func partnersHavePlacesOfTheirOwn() {
        var admission = admission(running: 1, queued: 1)
        #expect([admission.offer(host: 0), admission.offer(host: 0)] == [.start, .queue])
        admission.enqueue("ordinary", host: 0)
        #expect(admission.offer(host: 0) == .hold)
        admission.hold("held", host: 0)
        #expect(admission.offer(host: 0, partner: true) == .start)
        #expect(admission.offer(host: 1, partner: true) == .queue)
        admission.enqueue("partner", host: 1, partner: true)
        #expect(admission.offer(host: 0, partner: true) == .hold)
        admission.hold("held partner", host: 0, partner: true)
        #expect(admission.running == 2 && admission.waiting == 2 && admission.held == 2)
        #expect(admission.next() == nil)
        admission.ended(host: 0, partner: true)
        #expect(admission.next() == "partner")
        #expect(admission.nextHeld()?.ticket == "held partner")
        #expect(admission.next() == nil)
        admission.ended(host: 0)
        #expect(admission.next() == "ordinary")
    }

    @Test func oneHostDoesNotTakeAllPlaces() {
        var admission = admission(running: 3, perHost: 2, queued: 10)
        #expect((0..<3).map { _ in admission.offer(host: 0) } == [.start, .start, .queue])
        admission.enqueue("a", host: 0)
        #expect(admission.next() == nil)
        #expect(admission.offer(host: 1) == .start)
        admission.ended(host: 0)
        #expect(admission.next() == "a")
    }

    @Test func heldRequestsGoOnInOrderWhenThereIsAPlace() {
        var admission = admission(running: 1, queued: 1)
        #expect([admission.offer(host: 0), admission.offer(host: 0)] == [.start, .queue])
        admission.enqueue("queued", host: 0)
        for name in ["x", "y"] {
            #expect(admission.offer(host: 0) == .hold)
            admission.hold(name, host: 0)
        }
        #expect(admission.nextHeld() == nil)
        admission.ended(host: 0)
        #expect(admission.next() == "queued")
        // The queue has a place, but not for one that would overtake.
        #expect(admission.offer(host: 0) == .hold)
        let held = admission.nextHeld()
        #expect(held?.ticket == "x" && held?.verdict == .queue)
        #expect(admission.nextHeld() == nil)
        #expect(admission.held == 1)
    }

    @Test func aHostWithoutAnythingHeldIsNotBehindAnother() {
        var admission = admission(running: 2, perHost: 1, queued: 0)
        #expect(admission.offer(host: 0) == .start)
        #expect(admission.offer(host: 0) == .hold)
        admission.hold("a", host: 0)
        #expect(admission.offer(host: 1) == .start)
    }

    @Test func droppedAndWithdrawnRequestsLeaveNoTrace() {
        var admission = admission(running: 1, queued: 1)
        #expect([admission.offer(host: 0), admission.offer(host: 0)] == [.start, .queue])
        admission.withdraw(host: 0)
        #expect(admission.waiting == 0)
        #expect(admission.offer(host: 0) == .queue)
        admission.enqueue("q", host: 0)
        #expect(admission.offer(host: 0) == .hold)
        admission.hold("h", host: 0)
        #expect(admission.dropHeld { $0 == "other" }.isEmpty)
        #expect(admission.dropHeld { $0 == "h" } == ["h"])
        #expect(admission.removeWaiting { _ in true } == ["q"])
        admission.ended(host: 0)
        #expect(admission.next() == nil)
        #expect(admission.offer(host: 0) == .start)
        #expect(admission.held == 0 && admission.waiting == 0 && admission.running == 1)
    }

    @Test func restoredRequestsComeInWhateverTheLimits() {
        var admission = admission(running: 1, queued: 1)
        for number in 0..<5 { admission.restore("\(number)", host: 1) }
        #expect(admission.waiting == 5)
        #expect(admission.offer(host: 0) == .start)
        #expect(admission.offer(host: 1) == .hold)
        admission.ended(host: 0)
        #expect(admission.next() == "0")
    }

    /// Every sequence of events keeps the limits, loses nothing and runs nothing twice.
    @Test(arguments: 0..<20) func limitsHoldInEveryOrder(seed: UInt64) {
        var random = Numbers(state: seed)
        let limits = AdmissionLimits(running: 3, runningPerHost: 2, queued: 4)
        var admission = Admission<Int>(hosts: 3, limits: limits)
        var running: [(ticket: Int, host: Int)] = []
        var journalling: [(ticket: Int, host: Int)] = []
        var hosts: [Int] = []
        var ended: Set<Int> = []
        func pump() {
            while let next = admission.next() { running.append((next, hosts[next])) }
            while let held = admission.nextHeld() {
                if held.verdict == .start {
                    running.append((held.ticket, hosts[held.ticket]))
                } else {
                    journalling.append((held.ticket, hosts[held.ticket]))
                }
            }
        }
        for step in 0..<2_000 {
            switch random.next(3) {
            case 0 where step < 1_200:
                let host = random.next(3)
                let ticket = hosts.count
                hosts.append(host)
                switch admission.offer(host: host) {
                case .start: running.append((ticket, host))
                case .queue: journalling.append((ticket, host))
                case .hold: admission.hold(ticket, host: host)
                }
            case 1 where !journalling.isEmpty:
                let (ticket, host) = journalling.removeFirst()
                admission.enqueue(ticket, host: host)
                pump()
            default:
                guard !running.isEmpty else { continue }
                let (ticket, host) = running.remove(at: random.next(running.count))
                #expect(ended.insert(ticket).inserted)
                admission.ended(host: host)
                pump()
            }
            #expect(running.count <= limits.running && admission.running == running.count)
            for host in 0..<3 { #expect(running.count { $0.host == host } <= limits.runningPerHost) }
            #expect(admission.waiting <= limits.queued)
        }
        while ended.count < hosts.count {
            while !journalling.isEmpty {
                let (ticket, host) = journalling.removeFirst()
                admission.enqueue(ticket, host: host)
            }
            pump()
            guard let (ticket, host) = running.popLast() else { break }
            ended.insert(ticket)
            admission.ended(host: host)
            pump()
        }
        #expect(ended.count == hosts.count)
    }
}

/// Numbers that are the same in every run (SplitMix64).
struct Numbers {
    var state: UInt64

    mutating func next(_ bound: Int) -> Int {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = (state ^ state >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return Int((value ^ value >> 31) % UInt64(bound))
    }
}
