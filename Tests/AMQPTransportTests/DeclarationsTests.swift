import AMQPModel
import Support
import Testing

@testable import AMQPTransport

@Suite struct DeclarationsTests {
    private let now = Moment(nanoseconds: 1_000_000_000)
    private let exchange = ExchangeDeclaration(name: "nova", kind: .topic)

    private func hosts(_ count: Int) -> [DeclarationRunner.Item] {
        (0..<count).flatMap { number -> [DeclarationRunner.Item] in
            let name = "compute.host-\(number)"
            return [
                .declare(.queue(QueueDeclaration(name: name))),
                .declare(.binding(BindingDeclaration(queue: name, exchange: "nova", routingKey: name))),
                .declare(.consumer(ConsumerDeclaration(queue: name, tag: name))),
            ]
        }
    }

    private func large(_ count: Int = Declarations.parallelQueues) -> [DeclarationRunner.Item] {
        [.declare(.exchange(exchange))] + hosts(count)
    }

    /// Plays a broker that answers every method, until nothing more is sent; tells what each channel was sent, in order.
    private func work(
        _ declarations: inout Declarations,
        outcomes: inout [Declarations.Outcome]
    ) -> [UInt16: [OutboundMethod]] {
        var all: [UInt16: [OutboundMethod]] = [:]
        while case let sent = declarations.next(now: now), !sent.isEmpty {
            for (channel, methods) in sent {
                all[channel, default: []] += methods
                for method in methods {
                    if method == .channelOpen {
                        declarations.channelOpened(channel)
                    } else if let outcome = declarations.answer(channel) {
                        outcomes.append(outcome)
                    }
                }
            }
        }
        return all
    }

    private func connected(channelMaximum: UInt16 = 2047) -> Declarations {
        var declarations = Declarations(refusedPause: .seconds(1))
        declarations.connected(channelMaximum: channelMaximum)
        return declarations
    }

    @Test func theExchangesComeFirstAndTheQueuesOnAllChannels() {
        var declarations = connected()
        let job = declarations.submit(large())
        var outcomes: [Declarations.Outcome] = []
        let first = declarations.next(now: now)
        #expect(first.map(\.channel) == [2])
        declarations.channelOpened(2)
        let stage = declarations.next(now: now)
        #expect(stage.flatMap(\.methods) == [.exchangeDeclare(exchange, passive: false)])
        #expect(declarations.answer(2) == nil)
        let sent = work(&declarations, outcomes: &outcomes)
        #expect(outcomes == [.finished(job: job)])
        #expect(declarations.isIdle)
        #expect(sent.keys.sorted() == [2, 3, 4, 5])
        var queues: Set<String> = []
        for methods in sent.values {
            let methods = methods.filter { $0 != .channelOpen }
            #expect(methods.first == .exchangeDeclare(exchange, passive: false))
            for (queue, binding) in zip(methods.dropFirst(), methods.dropFirst(2)) {
                guard case .queueDeclare(let declared, passive: false) = queue else { continue }
                guard case .queueBind(let bound) = binding else {
                    Issue.record("\(binding) after \(queue)")
                    continue
                }
                #expect(declared.name == bound.queue)
                #expect(queues.insert(declared.name).inserted)
            }
        }
        #expect(queues.count == Declarations.parallelQueues)
    }

    @Test func aSmallJobStaysOnOneChannelInItsOrder() {
        var declarations = connected()
        let job = declarations.submit(hosts(2) + [.declare(.exchange(exchange))])
        var outcomes: [Declarations.Outcome] = []
        let sent = work(&declarations, outcomes: &outcomes)
        #expect(outcomes == [.finished(job: job)])
        #expect(sent.keys.sorted() == [2])
        #expect(sent[2]?.last == .exchangeDeclare(exchange, passive: false))
        #expect(sent[2]?.count == 6)
    }

    @Test func aBrokerThatAllowsFewChannelsGetsFew() {
        var declarations = connected(channelMaximum: 3)
        _ = declarations.submit(large())
        var outcomes: [Declarations.Outcome] = []
        #expect(work(&declarations, outcomes: &outcomes).keys.sorted() == [2, 3])
        #expect(outcomes == [.finished(job: 1)])
    }

    @Test func theNextJobWaitsForAllPartsOfTheOneBefore() {
        var declarations = connected()
        let first = declarations.submit(large())
        let second = declarations.submit([.deleteQueue("compute.host-1")])
        var outcomes: [Declarations.Outcome] = []
        let sent = work(&declarations, outcomes: &outcomes)
        #expect(outcomes == [.finished(job: first), .finished(job: second)])
        #expect(sent[2]?.last == .queueDelete("compute.host-1"))
    }

    @Test func otherPropertiesOfAnExchangeAreFoundOnceAndAskedForPassivelyByAll() {
        var declarations = connected()
        _ = declarations.submit(large())
        _ = declarations.next(now: now)
        declarations.channelOpened(2)
        _ = declarations.next(now: now)
        let outcome = declarations.channelClosed(2, code: 406, text: "inequivalent", now: now)
        #expect(outcome == .mismatch(.exchange(exchange), text: "inequivalent"))
        var outcomes: [Declarations.Outcome] = []
        let sent = work(&declarations, outcomes: &outcomes)
        #expect(outcomes == [.finished(job: 1)])
        let exchanges = sent.values.joined().filter { if case .exchangeDeclare = $0 { true } else { false } }
        #expect(exchanges.count == 5)
        #expect(exchanges.allSatisfy { $0 == .exchangeDeclare(exchange, passive: true) })
    }

    @Test func aChannelThatFailsRepeatsItsPartWithTheExchangesAndTheOthersGoOn() {
        var declarations = connected()
        _ = declarations.submit(large())
        for _ in 0..<2 {
            for (channel, _) in declarations.next(now: now) { declarations.channelOpened(channel) }
        }
        #expect(declarations.answer(2) == nil)
        // All channels are open and have their parts.
        for (channel, _) in declarations.next(now: now) { declarations.channelOpened(channel) }
        _ = declarations.next(now: now)
        let outcome = declarations.channelClosed(3, code: 404, text: "no exchange", now: now)
        guard case .paused = outcome else {
            Issue.record("\(String(describing: outcome))")
            return
        }
        for channel: UInt16 in [2, 4, 5] {
            for _ in 0..<(1 + 2 * Declarations.parallelQueues / Declarations.channels) {
                #expect(declarations.answer(channel) == nil)
            }
        }
        #expect(!declarations.isIdle)
        let later = declarations.wakeAt
        #expect(later > now)
        let again = declarations.next(now: later)
        #expect(again.map(\.channel) == [3])
        declarations.channelOpened(3)
        let methods = declarations.next(now: later).flatMap(\.methods)
        #expect(methods.first == .exchangeDeclare(exchange, passive: false))
        for _ in methods.dropLast() { #expect(declarations.answer(3) == nil) }
        #expect(declarations.answer(3) == .finished(job: 1))
    }

    @Test func aJobThatMayFailFailsOnceAllItsPartsHaveEnded() {
        var declarations = connected()
        let queues = (0..<Declarations.parallelQueues).map { DeclarationRunner.Item.deleteQueue("q-\($0)") }
        _ = declarations.submit(queues, attempts: 1)
        for (channel, _) in declarations.next(now: now) { declarations.channelOpened(channel) }
        _ = declarations.next(now: now)
        #expect(declarations.channelClosed(4, code: 403, text: "refused", now: now) == nil)
        var last: Declarations.Outcome?
        for channel: UInt16 in [2, 3, 5] {
            for _ in 0..<(Declarations.parallelQueues / Declarations.channels) {
                #expect(last == nil)
                last = declarations.answer(channel)
            }
        }
        #expect(last == .failed(job: 1, text: "refused"))
        #expect(declarations.isIdle)
    }

    @Test func aJobOfConsumersOnlyEndsWithoutAsking() {
        var declarations = Declarations(refusedPause: .seconds(1))
        _ = declarations.submit([.declare(.consumer(ConsumerDeclaration(queue: "q", tag: "1")))])
        #expect(declarations.finishEmpty() == nil)
        declarations.connected(channelMaximum: 2047)
        #expect(declarations.finishEmpty() == .finished(job: 1))
    }

    @Test func aLostConnectionTakesAllPartsWithIt() {
        var declarations = connected()
        _ = declarations.submit(large())
        declarations.disconnected()
        #expect(declarations.isIdle)
        declarations.connected(channelMaximum: 2047)
        let job = declarations.submit(large())
        var outcomes: [Declarations.Outcome] = []
        _ = work(&declarations, outcomes: &outcomes)
        #expect(outcomes == [.finished(job: job)])
    }
}
