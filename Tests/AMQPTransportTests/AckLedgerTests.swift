import Testing

@testable import AMQPTransport

@Suite struct AckLedgerTests {
    private struct Sent: Equatable {
        var tag: UInt64
        var multiple: Bool
    }

    private func flush(_ ledger: inout AckLedger) -> [Sent] {
        var sent: [Sent] = []
        ledger.flush { sent.append(Sent(tag: $0, multiple: $1)) }
        return sent
    }

    private func ledger(deliveries: UInt64) -> AckLedger {
        var ledger = AckLedger()
        for tag in 1...deliveries { ledger.delivered(tag) }
        return ledger
    }

    @Test func theSettledBeginningBecomesOneAcknowledgement() {
        var ledger = ledger(deliveries: 5)
        for tag: UInt64 in [2, 1, 3] { ledger.acknowledge(tag) }
        check(flush(&ledger), [Sent(tag: 3, multiple: true)])
        #expect(ledger.unsettled == 2)
        check(flush(&ledger), [])
    }

    @Test func oneDeliveryIsAcknowledgedSingly() {
        var ledger = ledger(deliveries: 1)
        ledger.acknowledge(1)
        check(flush(&ledger), [Sent(tag: 1, multiple: false)])
    }

    @Test func thoseBehindAnUnsettledDeliveryGoOutSinglyAndOnce() {
        var ledger = ledger(deliveries: 4)
        ledger.acknowledge(2)
        ledger.acknowledge(4)
        check(flush(&ledger), [Sent(tag: 2, multiple: false), Sent(tag: 4, multiple: false)])
        ledger.acknowledge(1)
        ledger.acknowledge(3)
        check(flush(&ledger), [Sent(tag: 3, multiple: true)])
    }

    @Test func rejectedDeliveriesAreNeverNamedInAnAcknowledgement() {
        var ledger = ledger(deliveries: 3)
        ledger.acknowledge(1)
        check(ledger.reject(2), true)
        check(ledger.reject(3), true)
        check(flush(&ledger), [Sent(tag: 1, multiple: false)])
        #expect(ledger.unsettled == 0)
    }

    @Test func settlingTwiceOrUnknownTagsDoesNothing() {
        var ledger = ledger(deliveries: 2)
        ledger.acknowledge(1)
        ledger.acknowledge(1)
        ledger.acknowledge(9)
        check(ledger.reject(1), false)
        check(ledger.reject(0), false)
        check(flush(&ledger), [Sent(tag: 1, multiple: false)])
        check(ledger.reject(1), false)
    }

    /// What a broker would make of the acknowledgements of many random orders.
    @Test(arguments: 0..<50) func everyDeliveryIsSettledExactlyOnceInAnyOrder(seed: UInt64) {
        var generator = SplitMix(state: seed)
        var ledger = AckLedger()
        var outstanding: Set<UInt64> = []
        var unsettled: [UInt64] = []
        var last: UInt64 = 0
        for _ in 0..<300 {
            if Bool.random(using: &generator) || unsettled.isEmpty {
                last += 1
                ledger.delivered(last)
                outstanding.insert(last)
                unsettled.append(last)
            } else {
                let tag = unsettled.remove(at: Int.random(in: 0..<unsettled.count, using: &generator))
                if Int.random(in: 0..<4, using: &generator) == 0 {
                    check(ledger.reject(tag), true)
                    outstanding.remove(tag)
                } else {
                    ledger.acknowledge(tag)
                }
            }
            if Int.random(in: 0..<5, using: &generator) == 0 {
                for sent in flush(&ledger) {
                    #expect(outstanding.contains(sent.tag), "the broker would close the channel with 406")
                    if sent.multiple { outstanding = outstanding.filter { $0 > sent.tag } }
                    outstanding.remove(sent.tag)
                }
                #expect(outstanding == Set(unsettled))
            }
        }
    }
}

/// A small generator with a seed, so that random cases can be repeated.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
