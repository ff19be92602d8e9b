import AMQPModel
import Support
import Testing

@testable import AMQPTransport

@Suite struct ConnectionLifecycleTests {
    private static let pauses = Backoff(initial: .milliseconds(100), maximum: .milliseconds(100))

    private func moment(_ milliseconds: Int64) -> Moment { Moment(nanoseconds: milliseconds * 1_000_000) }

    private func lifecycle(addresses: Int) -> ConnectionLifecycle {
        var lifecycle = ConnectionLifecycle(
            addresses: addresses,
            backoff: Self.pauses,
            refusedPause: .seconds(10)
        )
        lifecycle.start(now: moment(0))
        return lifecycle
    }

    @Test func addressesAreTriedInTurnWithoutPauseUntilTheRoundIsOver() {
        var lifecycle = lifecycle(addresses: 2)
        check(lifecycle.due(now: moment(0)), 0)
        lifecycle.failed(permanent: false, now: moment(5))
        check(lifecycle.due(now: moment(5)), 1)
        lifecycle.failed(permanent: false, now: moment(6))
        check(lifecycle.due(now: moment(6)), nil)
        #expect(lifecycle.wakeAt == moment(106))
        check(lifecycle.due(now: moment(106)), 0)
    }

    @Test func afterALongConnectionTheNextAddressIsTriedAtOnce() {
        var lifecycle = lifecycle(addresses: 2)
        _ = lifecycle.due(now: moment(0))
        lifecycle.connected(now: moment(1))
        lifecycle.lost(permanent: false, now: moment(5000))
        check(lifecycle.due(now: moment(5000)), 1)
    }

    @Test func aConnectionThatEndsAtOnceCountsAsAFailure() {
        var lifecycle = lifecycle(addresses: 1)
        _ = lifecycle.due(now: moment(0))
        lifecycle.connected(now: moment(1))
        lifecycle.lost(permanent: false, now: moment(2))
        check(lifecycle.due(now: moment(2)), nil)
        #expect(lifecycle.wakeAt == moment(102))
    }

    @Test func refusalsAreRepeatedAfterPausesThatGrowToTheConfiguredOne() {
        var lifecycle = lifecycle(addresses: 1)
        var now: Int64 = 0
        var pauses: [Int64] = []
        for _ in 0..<6 {
            check(lifecycle.due(now: moment(now)), 0)
            lifecycle.failed(permanent: true, now: moment(now))
            let next = lifecycle.wakeAt.nanoseconds / 1_000_000
            pauses.append(next - now)
            now = next
        }
        #expect(pauses == [1000, 2000, 4000, 8000, 10_000, 10_000])
    }

    @Test func aClosedOneNeverConnects() {
        var lifecycle = lifecycle(addresses: 1)
        lifecycle.close()
        check(lifecycle.due(now: moment(1000)), nil)
        #expect(lifecycle.wakeAt == .never)
    }
}

@Suite struct HeartbeatClockTests {
    private func moment(_ seconds: Int64) -> Moment { Moment(nanoseconds: seconds * 1_000_000_000) }

    @Test func silenceOfOursIsFilledAndSilenceOfThePeerIsDeath() {
        var clock = HeartbeatClock(seconds: 10, now: moment(0))
        #expect(clock.verdict(now: moment(4)) == .fine)
        #expect(clock.wakeAt == moment(5))
        #expect(clock.verdict(now: moment(5)) == .send)
        clock.didWrite(now: moment(5))
        #expect(clock.verdict(now: moment(9)) == .fine)
        #expect(clock.verdict(now: moment(20)) == .peerIsDead)
        clock.didRead(now: moment(19))
        clock.didWrite(now: moment(19))
        #expect(clock.verdict(now: moment(20)) == .fine)
    }

    @Test func withoutHeartbeatsNothingIsEverDue() {
        let clock = HeartbeatClock(seconds: 0, now: moment(0))
        #expect(clock.verdict(now: moment(1_000_000)) == .fine)
        #expect(clock.wakeAt == .never)
    }
}

@Suite struct MessageAssemblerTests {
    private let origin = MessageAssembler.Origin.delivery(tag: 1, consumerTag: "1", redelivered: false)

    private func assemble(_ assembler: inout MessageAssembler, parts: [[UInt8]]) throws -> MessageAssembler.Message? {
        try assembler.begin(origin, exchange: "x", routingKey: "k")
        let size = parts.reduce(0) { $0 + $1.count }
        var complete = try assembler.header(bodySize: UInt64(size), properties: MessageProperties())
        for part in parts {
            #expect(complete == nil)
            complete = try assembler.body(count: part.count) { $0 += part }
        }
        return complete
    }

    @Test func bodiesOfNoOneAndSeveralFramesComeTogether() throws {
        var assembler = MessageAssembler(maximumBytes: 100)
        try check(assemble(&assembler, parts: [])?.body, [])
        try check(assemble(&assembler, parts: [[1, 2, 3]])?.body, [1, 2, 3])
        try check(assemble(&assembler, parts: [[1], [2, 3], [4]])?.body, [1, 2, 3, 4])
    }

    @Test func aBodyAboveTheLimitIsCountedAndNotKept() throws {
        var assembler = MessageAssembler(maximumBytes: 3)
        let assembled = try assemble(&assembler, parts: [[1, 2], [3, 4]])
        let message = try #require(assembled)
        #expect(message.isDiscarded)
        #expect(message.bodySize == 4)
        #expect(message.body.isEmpty)
        try check(assemble(&assembler, parts: [[1, 2, 3]])?.body, [1, 2, 3])
    }

    @Test func framesOutOfOrderAreRefused() throws {
        #expect(violates { assembler throws in _ = try assembler.header(bodySize: 1, properties: MessageProperties()) })
        #expect(
            violates { assembler throws in
                try assembler.begin(origin, exchange: "", routingKey: "")
                _ = try assembler.body(count: 1) { _ in }
            }
        )
        #expect(
            violates { assembler throws in
                try assembler.begin(origin, exchange: "", routingKey: "")
                try assembler.begin(origin, exchange: "", routingKey: "")
            }
        )
        #expect(
            violates { assembler throws in
                try assembler.begin(origin, exchange: "", routingKey: "")
                _ = try assembler.header(bodySize: 1, properties: MessageProperties())
                _ = try assembler.body(count: 2) { $0 += [1, 2] }
            }
        )
    }

    private func violates(_ body: (inout MessageAssembler) throws -> Void) -> Bool {
        var assembler = MessageAssembler(maximumBytes: 100)
        do {
            try body(&assembler)
            return false
        } catch {
            return error is MessageAssembler.Violation
        }
    }
}
