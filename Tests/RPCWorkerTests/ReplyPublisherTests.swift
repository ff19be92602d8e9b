import AMQPModel
import Logging
import OsloMessaging
import Support
import Synchronization
import TestSupport
import Testing

@testable import RPCWorker

/// A broker without certain queues.
private final class FakeOutlet: ReplyOutlet {
    struct State {
        var published: [OutboundMessage] = []
        var confirmed: [String] = []
        var missing: Set<String> = []
        var failing = false
    }

    let state = Mutex(State())

    func publish(_ message: OutboundMessage, completion: @escaping @Sendable (PublishOutcome) -> Void) {
        let outcome: PublishOutcome = state.withLock { state in
            state.published.append(message)
            if state.failing { return .failed("no") }
            if state.missing.contains(message.routingKey) { return .returned(code: 312, text: "NO_ROUTE") }
            state.confirmed.append(message.routingKey)
            return .confirmed
        }
        completion(outcome)
    }

    func confirmed(_ queue: String) -> Int { state.withLock { $0.confirmed.count { $0 == queue } } }

    func count(_ queue: String) -> Int { state.withLock { $0.published.count { $0.routingKey == queue } } }
}

@Suite(.timeLimit(.minutes(5)))
struct ReplyPublisherTests {
    private let outlet = FakeOutlet()
    private let timers = TimerQueue()

    private func publisher(
        _ settings: ReplySettings = ReplySettings(),
        logger: Logger = TestHosts.quiet
    ) -> ReplyPublisher {
        ReplyPublisher(
            outlet: outlet,
            timers: timers,
            settings: settings,
            metrics: WorkerMetrics(),
            logger: logger
        )
    }

    private func message(_ queue: String) -> OutboundMessage { .reply([1], to: queue) }

    private func withTimers(_ body: () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            let timers = timers
            group.addTask { await timers.run() }
            try await body()
            group.cancelAll()
        }
    }

    @Test func aReturnedReplyIsRepeatedUntilItsQueueIsThere() async throws {
        try await withTimers {
            let publisher = publisher()
            outlet.state.withLock { $0.missing = ["late"] }
            publisher.send(message("late"))
            publisher.send(message("there"))
            #expect(outlet.count("there") == 1)
            try await eventually { outlet.count("late") >= 3 }
            outlet.state.withLock { $0.missing = [] }
            try await eventually { outlet.confirmed("late") == 1 }
            #expect(publisher.waiting == 0)
        }
    }

    @Test func aQueueThatStayedAwayGetsNothingForAWhile() async throws {
        try await withTimers {
            let lines = LogLines()
            let publisher = publisher(
                ReplySettings(
                    retryTimeout: .milliseconds(300),
                    obsoleteFor: .seconds(Sanitizer.choose(30, otherwise: 3))
                ),
                logger: lines.logger
            )
            outlet.state.withLock { $0.missing = ["gone"] }
            publisher.send(message("gone"))
            try await eventually { lines.count("reply dropped") == 1 }
            let count = outlet.count("gone")
            publisher.send(message("gone"))
            #expect(outlet.count("gone") == count)
            outlet.state.withLock { $0.missing = [] }
            try await eventually {
                publisher.send(message("gone"))
                return outlet.count("gone") > count
            }
        }
    }

    @Test func soManyReturnedRepliesWaitAndNoMore() async {
        let publisher = publisher(ReplySettings(waitingLimit: 3))
        outlet.state.withLock { $0.missing = ["gone"] }
        for _ in 0..<10 { publisher.send(message("gone")) }
        #expect(publisher.waiting == 3)
        // What waits holds the publisher; it goes when the timers end.
        await withTaskGroup(of: Void.self) { group in
            group.cancelAll()
            let timers = timers
            group.addTask { await timers.run() }
        }
    }

    @Test func afterClosingNothingIsRepeated() {
        let publisher = publisher()
        outlet.state.withLock { $0.failing = true }
        publisher.close()
        publisher.send(message("any"))
        #expect(publisher.waiting == 0)
    }

    @Test func heartbeatsEndWithTheCallAndWithAFailure() async throws {
        try await withTimers {
            let publisher = publisher()
            let monitor = CallMonitor(timers: timers, mandatory: true, metrics: WorkerMetrics())
            outlet.state.withLock { $0.missing = ["gone"] }
            let watched = monitor.begin(callRequest("m", queue: "there", timeout: 2), through: publisher)
            let lost = monitor.begin(callRequest("m", queue: "gone", timeout: 2), through: publisher)
            #expect(watched != nil && lost != nil)
            #expect(monitor.begin(callRequest("m", queue: "q", timeout: .null), through: publisher) == nil)
            #expect(monitor.begin(callRequest("m", queue: "q", timeout: 1), through: publisher) == nil)
            try await eventually { outlet.count("there") >= 3 }
            monitor.end(watched)
            #expect(outlet.count("gone") == 1)
            #expect(monitor.count == 0)
        }
    }
}

@Suite(.timeLimit(.minutes(5)))
struct WorkerPartsTests {
    @Test func obsoleteQueuesAreForgottenInTimeAndInNumber() {
        var queues = ObsoleteQueues(limit: 2, lifetime: .seconds(60))
        let now = ContinuousClock.now
        queues.insert("a", now: now)
        queues.insert("b", now: now + .seconds(1))
        queues.insert("c", now: now + .seconds(2))
        #expect(queues.contains("a", now: now + .seconds(3)) == false)
        #expect(queues.contains("b", now: now + .seconds(3)) == true)
        #expect(queues.contains("b", now: now + .seconds(61)) == false)
        #expect(queues.contains("c", now: now + .seconds(61)) == true)
        #expect(queues.contains("c", now: now + .seconds(62)) == false)
        #expect(queues.isEmpty)
    }

    @Test func readsBeyondTheLimitWaitInOrder() {
        var gate = ReadGate<Int>(limit: 2)
        #expect((0..<2).map { _ in gate.offer() } == [.start, .start])
        for number in 0..<3 {
            #expect(gate.offer() == (number < 2 ? .wait : .waitUnsettled))
            gate.wait(number)
        }
        #expect(gate.ended() == 0)
        #expect(gate.drop { $0 == 1 } == [1])
        #expect(gate.ended() == 2)
        #expect(gate.ended() == nil)
        #expect(gate.ended() == nil)
        #expect(gate.running == 0)
    }

    @Test func timersFireInOrderAndNotAfterTheEnd() async throws {
        let timers = TimerQueue()
        let fired = Mutex<[Int]>([])
        let running = Task { await timers.run() }
        timers.schedule(after: .milliseconds(500)) { fired.withLock { $0.append(2) } }
        timers.schedule(after: .zero) {
            fired.withLock { $0.append(1) }
            timers.schedule(after: .milliseconds(600)) { fired.withLock { $0.append(3) } }
        }
        try await eventually { fired.withLock { $0.count } == 3 }
        #expect(fired.withLock { $0 } == [1, 2, 3])
        running.cancel()
        await running.value
        timers.schedule(after: .zero) { fired.withLock { $0.append(4) } }
        #expect(fired.withLock { $0.count } == 3)
    }

    @Test func waitingForNothingOutstandingEnds() async throws {
        let outstanding = Outstanding()
        #expect(await outstanding.waitUntilNone(atMost: .seconds(5)))
        outstanding.enter()
        outstanding.enter()
        #expect(await !outstanding.waitUntilNone(atMost: .milliseconds(10)))
        async let none = outstanding.waitUntilNone(atMost: .seconds(30))
        outstanding.leave()
        outstanding.leave()
        #expect(await none)
    }

    @Test func theLogLimiterCountsWhatItHoldsBack() {
        let limiter = LogLimiter(perSecond: 2)
        let now = ContinuousClock.now
        #expect((0..<5).map { _ in limiter.admit(now: now) } == [0, 0, nil, nil, nil])
        #expect(limiter.admit(now: now + .seconds(2)) == 3)
        #expect(limiter.admit(now: now + .seconds(2)) == 0)
    }

    @Test func anInstanceIsFoundInBothForms() {
        #expect(OperationLog.instance(["instance": ["uuid": "u1"]]) == "u1")
        #expect(OperationLog.instance(["instance": ["nova_object.data": ["uuid": "u2"]]]) == "u2")
        #expect(OperationLog.instance(["instance": 7]) == nil)
        #expect(OperationLog.clip(String(repeating: "é", count: 300)).count == 81)
    }
}
