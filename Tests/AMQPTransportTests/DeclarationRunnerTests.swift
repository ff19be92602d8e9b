import AMQPModel
import Support
import Testing

@testable import AMQPTransport

@Suite struct DeclarationRunnerTests {
    private let now = Moment(nanoseconds: 1_000_000_000)
    private let exchange = ExchangeDeclaration(name: "nova", kind: .topic)
    private let queue = QueueDeclaration(name: "compute")
    private var steps: [TopologyStep] {
        [
            .exchange(exchange), .queue(queue),
            .binding(BindingDeclaration(queue: "compute", exchange: "nova", routingKey: "compute")),
        ]
    }

    /// A runner with an open channel whose first job's steps are sent.
    private func started(attempts: Int? = nil) -> DeclarationRunner {
        var runner = DeclarationRunner(refusedPause: .seconds(10))
        _ = runner.submit(steps.map { .declare($0) }, attempts: attempts)
        check(runner.next(now: now).isEmpty, true, "nothing is sent without a connection")
        runner.connected()
        check(runner.next(now: now), [.channelOpen])
        check(runner.next(now: now).isEmpty, true)
        runner.channelOpened()
        check(runner.next(now: now).count, 3, "all steps go out before the first answer")
        return runner
    }

    @Test func aJobEndsWithItsLastAnswerAndTheNextBegins() {
        var runner = started()
        _ = runner.submit([.deleteQueue("old")])
        check(runner.answer(), nil)
        check(runner.answer(), nil)
        check(runner.answer(), .finished(job: 1))
        check(runner.next(now: now), [.queueDelete("old")])
        check(runner.answer(), .finished(job: 2))
        #expect(runner.isIdle)
    }

    @Test func aMismatchBecomesAPassiveDeclarationAndTheRestFollows() {
        var runner = started()
        check(runner.answer(), nil)
        let outcome = runner.channelClosed(code: 406, text: "inequivalent arg", now: now)
        #expect(outcome == .mismatch(.queue(queue), text: "inequivalent arg"))
        check(runner.next(now: now), [.channelOpen])
        runner.channelOpened()
        let again = runner.next(now: now)
        #expect(again.first == .queueDeclare(queue, passive: true))
        #expect(again.count == 2, "what was declared already is not repeated")
        _ = runner.answer()
        check(runner.answer(), .finished(job: 1))
    }

    @Test func equalStepsOfLaterJobsArePassiveAtOnce() {
        var runner = started()
        _ = runner.channelClosed(code: 406, text: "", now: now)
        _ = runner.next(now: now)
        runner.channelOpened()
        _ = runner.next(now: now)
        for _ in 0..<3 { _ = runner.answer() }
        _ = runner.submit([.declare(.exchange(exchange))])
        check(runner.next(now: now), [.exchangeDeclare(exchange, passive: true)])
    }

    @Test func anAutoDeleteRaceIsRepeatedFromTheStartAfterAPause() throws {
        var runner = started()
        _ = runner.answer()
        _ = runner.answer()
        check(runner.channelClosed(code: 404, text: "no exchange", now: now), .paused(steps[2], text: "no exchange"))
        check(runner.next(now: now).isEmpty, true)
        let later = runner.wakeAt
        #expect(later > now && later <= now + .seconds(1))
        check(runner.next(now: later), [.channelOpen])
        runner.channelOpened()
        check(runner.next(now: later).count, 3)
    }

    @Test func refusedPermissionWaitsLong() {
        var runner = started()
        _ = runner.channelClosed(code: 403, text: "access refused", now: now)
        #expect(runner.wakeAt == now + .seconds(10))
    }

    @Test func aJobWithLimitedAttemptsFailsAndLetsTheNextIn() {
        var runner = started(attempts: 1)
        check(runner.channelClosed(code: 404, text: "gone", now: now), .failed(job: 1, text: "gone"))
        #expect(runner.isIdle)
    }

    @Test func aLostConnectionTakesTheJobsWithIt() {
        var runner = started()
        runner.disconnected()
        #expect(runner.isIdle)
        check(runner.answer(), nil)
    }
}

@Suite struct TopologyTests {
    @Test func aQueueIsBroughtBackWithItsExchangeAndBindingsAndNothingElse() {
        let wanted: [TopologyStep] = [
            .exchange(ExchangeDeclaration(name: "x", kind: .topic)), .queue(QueueDeclaration(name: "a")),
            .binding(BindingDeclaration(queue: "a", exchange: "x", routingKey: "a")),
        ]
        let others: [TopologyStep] = [
            .exchange(ExchangeDeclaration(name: "y", kind: .topic)), .queue(QueueDeclaration(name: "b")),
            .binding(BindingDeclaration(queue: "b", exchange: "y", routingKey: "b")),
            .consumer(ConsumerDeclaration(queue: "a", tag: "1")),
        ]
        let topology = Topology(steps: wanted + others)
        #expect(topology.steps(forQueues: ["a"]) == wanted)
    }

    @Test func removingTakesOneOfEqualSteps() {
        let step = TopologyStep.exchange(ExchangeDeclaration(name: "x", kind: .topic))
        var topology = Topology(steps: [step])
        topology.add([step])
        topology.remove([step])
        #expect(topology.steps == [step])
    }

    @Test func consumersAreKnownByTheirTagsForAsLongAsTheyAreWanted() {
        func consumer(_ tag: String) -> TopologyStep { .consumer(ConsumerDeclaration(queue: "q\(tag)", tag: tag)) }
        var topology = Topology(steps: [consumer("1"), .queue(QueueDeclaration(name: "q1")), consumer("2")])
        topology.add([consumer("3"), consumer("2")])
        #expect(topology.consumers.map(\.tag) == ["1", "2", "3", "2"])
        topology.remove([consumer("2"), consumer("3")])
        #expect(topology.consumers.map(\.tag) == ["1", "2"])
        #expect(topology.queue(ofConsumer: "2") == "q2")
        #expect(topology.queue(ofConsumer: "3") == nil)
    }
}
