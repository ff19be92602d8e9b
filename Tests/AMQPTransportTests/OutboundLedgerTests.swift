import AMQPModel
import Testing

@testable import AMQPTransport

@Suite struct OutboundLedgerTests {
    private func entry(_ text: String, declaring: [TopologyStep] = []) -> OutboundEntry {
        OutboundEntry(message: .to(queue: "q", text), declaring: declaring)
    }

    private func text(_ message: OutboundMessage?) -> String? {
        message.map { String(decoding: $0.body, as: UTF8.self) }
    }

    private func summary(_ finished: [OutboundLedger.Finished]) -> [String] {
        finished.map { "\(text($0.entry.message) ?? ""): \($0.outcome)" }
    }

    /// A ledger whose messages "1" to "count" are published.
    private func published(_ count: Int, attempts: Int = 3) -> OutboundLedger {
        var ledger = OutboundLedger(maximumAttempts: attempts, refusedAttempts: attempts)
        for number in 1...count { ledger.enqueue(entry("\(number)")) }
        while ledger.publishNext(limit: .max) != nil {}
        return ledger
    }

    private func publishAll(_ ledger: inout OutboundLedger) -> [String] {
        var all: [String] = []
        while let next = text(ledger.publishNext(limit: .max)) { all.append(next) }
        return all
    }

    @Test func confirmationsComeSinglyAndForAllBefore() {
        var ledger = published(5)
        var finished: [OutboundLedger.Finished] = []
        ledger.confirm(2, multiple: false, into: &finished)
        #expect(summary(finished) == ["2: confirmed"])
        ledger.confirm(4, multiple: true, into: &finished)
        #expect(summary(finished) == ["2: confirmed", "1: confirmed", "3: confirmed", "4: confirmed"])
        #expect(ledger.unconfirmedCount == 1)
        ledger.confirm(4, multiple: true, into: &finished)
        ledger.confirm(99, multiple: false, into: &finished)
        #expect(finished.count == 4)
    }

    @Test func aReturnDecidesTheOutcomeOfItsMessageAlone() {
        var ledger = published(3)
        var finished: [OutboundLedger.Finished] = []
        ledger.markReturned(exchange: "", routingKey: "q", body: Array("2".utf8), code: 312, text: "NO_ROUTE")
        ledger.confirm(3, multiple: true, into: &finished)
        #expect(summary(finished).contains("1: confirmed"))
        #expect(summary(finished).contains("3: confirmed"))
        #expect(finished.contains { $0.outcome == .returned(code: 312, text: "NO_ROUTE") })
    }

    @Test func afterALossTheUnconfirmedGoFirstAndInOrder() {
        var ledger = published(3)
        var finished: [OutboundLedger.Finished] = []
        ledger.confirm(2, multiple: false, into: &finished)
        ledger.enqueue(entry("4"))
        ledger.connectionLost()
        check(publishAll(&ledger), ["1", "3", "4"])
        ledger.confirm(1, multiple: false, into: &finished)
        #expect(summary(finished).last == "1: confirmed")
    }

    @Test func theWindowLimitsWhatIsUnconfirmed() {
        var ledger = published(1)
        ledger.enqueue(entry("2"))
        check(text(ledger.publishNext(limit: 1)), nil)
        var finished: [OutboundLedger.Finished] = []
        ledger.confirm(1, multiple: false, into: &finished)
        check(text(ledger.publishNext(limit: 1)), "2")
    }

    @Test func aRefusedMessageIsRepeatedAfterPausesAndThenGivenUp() {
        var ledger = published(1, attempts: 3)
        var finished: [OutboundLedger.Finished] = []
        var now = Moment(nanoseconds: 1_000_000_000)
        var last = Duration.zero
        for number: UInt64 in 1...2 {
            ledger.refuse(number, multiple: false, now: now, into: &finished)
            #expect(finished.isEmpty && !ledger.isEmpty)
            ledger.resumeRefused(now: now)
            check(publishAll(&ledger), [], "not at once")
            let pause = Duration.nanoseconds(ledger.resumeAt.since(now))
            #expect(pause > last)
            last = pause
            now = ledger.resumeAt
            ledger.resumeRefused(now: now)
            check(publishAll(&ledger), ["1"])
        }
        ledger.refuse(3, multiple: false, now: now, into: &finished)
        #expect(summary(finished) == ["1: failed(\"the broker refused the message 3 times\")"])
        #expect(ledger.isEmpty)
    }

    @Test func aChannelThatRefusesAgainAndAgainIsToBeChanged() {
        var ledger = published(1, attempts: 100)
        var finished: [OutboundLedger.Finished] = []
        var now = Moment(nanoseconds: 1)
        for channel in 1...3 {
            for number: UInt64 in 1...5 {
                #expect(!ledger.wantsNewChannel, "channel \(channel), before refusal \(number)")
                ledger.refuse(number, multiple: false, now: now, into: &finished)
                if number < 5 {
                    now = ledger.resumeAt
                    ledger.resumeRefused(now: now)
                    check(publishAll(&ledger), ["1"])
                }
            }
            #expect(ledger.wantsNewChannel)
            ledger.connectionLost()
            now = ledger.resumeAt
            ledger.resumeRefused(now: now)
            check(publishAll(&ledger), ["1"], "on the next channel, after its pause")
        }
        ledger.confirm(1, multiple: false, into: &finished)
        #expect(summary(finished) == ["1: confirmed"] && ledger.isEmpty)
    }

    @Test func whatIsRefusedHoldsUpNothingElse() {
        var ledger = published(3)
        var finished: [OutboundLedger.Finished] = []
        let now = Moment(nanoseconds: 1)
        ledger.refuse(2, multiple: true, now: now, into: &finished)
        ledger.enqueue(entry("4"))
        check(publishAll(&ledger), ["4"])
        ledger.resumeRefused(now: now + .seconds(2))
        check(publishAll(&ledger), ["1", "2"])
        #expect(ledger.unconfirmedCount == 4)
        ledger.refuse(4, multiple: true, now: now, into: &finished)
        ledger.failAll("closed", into: &finished)
        #expect(finished.count == 4)
        #expect(ledger.isEmpty)
    }

    @Test func theMessageThatClosesTheChannelIsFoundAndTheOthersSurvive() {
        var ledger = published(4)
        var finished: [OutboundLedger.Finished] = []
        // "3" is the culprit: the channel closes whenever it is among the unconfirmed.
        ledger.channelClosed("poison", into: &finished)
        var order: [String] = []
        var number: UInt64 = 0
        while let next = text(ledger.publishNext(limit: .max)) {
            order.append(next)
            #expect(ledger.unconfirmedCount == 1 || order.contains("3"), "suspects go one by one")
            number += 1
            if next == "3" {
                ledger.channelClosed("poison", into: &finished)
                number = 0
            } else {
                ledger.confirm(number, multiple: false, into: &finished)
            }
        }
        #expect(order == ["1", "2", "3", "4"])
        #expect(Set(summary(finished)) == ["1: confirmed", "2: confirmed", "3: failed(\"poison\")", "4: confirmed"])
    }

    @Test func aMessageWithDeclarationsGetsFurtherAttemptsAfterAChannelClosed() {
        var ledger = OutboundLedger(maximumAttempts: 2, refusedAttempts: 2)
        let exchange = TopologyStep.exchange(ExchangeDeclaration(name: "x", kind: .fanout))
        ledger.enqueue(entry("1", declaring: [exchange]))
        check(publishAll(&ledger), ["1"])
        var finished: [OutboundLedger.Finished] = []
        ledger.channelClosed("no exchange", into: &finished)
        #expect(finished.isEmpty)
        #expect(ledger.nextDeclaring == [exchange])
        check(publishAll(&ledger), ["1"])
        ledger.channelClosed("no exchange", into: &finished)
        #expect(summary(finished) == ["1: failed(\"no exchange\")"])
    }

    @Test func givingUpTellsEverybodyOnce() {
        var ledger = published(2)
        var finished: [OutboundLedger.Finished] = []
        ledger.confirm(1, multiple: false, into: &finished)
        ledger.enqueue(entry("3"))
        ledger.failAll("closed", into: &finished)
        #expect(summary(finished) == ["1: confirmed", "2: failed(\"closed\")", "3: failed(\"closed\")"])
        #expect(ledger.isEmpty)
    }
}
