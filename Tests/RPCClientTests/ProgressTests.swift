import OsloMessaging
import Support
import Testing

@testable import RPCClient

/// The values behind calls and gatherings, without any I/O.
@Suite struct ProgressTests {
    private let start = ContinuousClock.now

    private func at(_ seconds: Double) -> ContinuousClock.Instant { start + .seconds(seconds) }

    private func reply(_ result: JSONValue?, failure: RemoteFailure? = nil, ending: Bool = true) -> RPCReply {
        RPCReply(messageID: "m", result: result, failure: failure, ending: ending, uniqueID: nil)
    }

    @Test func theTimeForTheAnswerCountsFromTheSending() {
        var call = CallProgress(timeout: .seconds(10), monitorTimeout: nil, now: at(0))
        check(call.expiry(now: at(9)), nil)
        check(call.expiry(now: at(10)), .unsent)
        call.sent(now: at(9))
        check(call.expiry(now: at(18)), nil)
        check(call.expiry(now: at(19)), .timeout)
    }

    @Test func heartbeatsMoveOnlyTheMonitorsClock() {
        var call = CallProgress(timeout: .seconds(10), monitorTimeout: .seconds(4), now: at(0))
        call.sent(now: at(0))
        for second in [3.0, 6, 9] {
            check(call.expiry(now: at(second)), nil)
            check(call.received(reply(nil, ending: false), now: at(second)), nil)
        }
        check(call.expiry(now: at(10)), .timeout)
        var silent = CallProgress(timeout: .seconds(10), monitorTimeout: .seconds(4), now: at(0))
        silent.sent(now: at(0))
        check(silent.expiry(now: at(4)), .silence)
    }

    @Test func nobodyIsSilentWhoHasNotGotTheRequest() {
        var call = CallProgress(timeout: .seconds(60), monitorTimeout: .seconds(2), now: at(0))
        check(call.expiry(now: at(2)), nil)
        #expect(call.expiresAt == at(4))
        call.sent(now: at(3))
        check(call.expiry(now: at(5)), .silence)
    }

    @Test func anAnswerInTwoPartsIsOne() throws {
        var call = CallProgress(timeout: .seconds(10), monitorTimeout: nil, now: at(0))
        check(call.received(reply(5, ending: false), now: at(1)), nil)
        let result = try call.received(reply(nil), now: at(1))?.get()
        #expect(result == 5)
    }

    @Test func gatheringEndsWithEnoughAnswersOrWhenNoMoreCome() {
        var gather = GatherProgress(deadline: .seconds(10), expected: 2, quiet: nil, maximum: 9, now: at(0))
        gather.sent(now: at(0))
        check(gather.received(reply(1), now: at(1)), false)
        check(gather.received(reply(nil, ending: false), now: at(1)), false)
        check(gather.received(reply(2), now: at(1)), true)
        #expect(gather.replies.count == 2)

        var patient = GatherProgress(deadline: .seconds(10), expected: nil, quiet: .seconds(1), maximum: 9, now: at(0))
        patient.sent(now: at(0))
        check(patient.isOver(now: at(5)), false)
        check(patient.received(reply(1), now: at(3)), false)
        // As long again as the answer took, because that is longer than the quiet.
        check(patient.isOver(now: at(5.9)), false)
        check(patient.isOver(now: at(6)), true)
        check(patient.isOver(now: at(10)), true)
    }

    @Test func gatheringTakesNoMoreThanItMay() {
        var gather = GatherProgress(deadline: .seconds(10), expected: nil, quiet: nil, maximum: 2, now: at(0))
        check(gather.received(reply(1), now: at(1)), false)
        check(gather.received(reply(2), now: at(1)), true)
        check(gather.received(reply(3), now: at(1)), true)
        #expect(gather.replies.count == 2)
    }

    @Test func waitingNotificationsAreBoundedAndGivenUpAfterTheirRetries() {
        var queue = NotificationQueue<Int>(capacity: 3, failures: 2)
        check(queue.admit(1), .wait)
        check(queue.connectFailed(), 0)
        check(queue.admit(2), .wait)
        check(queue.admit(3), .wait)
        check(queue.admit(4), .refused)
        check(queue.connectFailed(), 1)
        check(queue.connected(), [2, 3])
        check(queue.admit(5), .send)
        check(queue.admit(6), .refused)
        queue.ended()
        check(queue.admit(7), .send)
        queue.disconnected()
        queue.ended()
        check(queue.admit(8), .wait)
    }
}

/// `#expect(left == right)` for expressions that change something, which the macro does not take.
private func check<Value: Equatable>(
    _ left: Value,
    _ right: Value,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(left == right, sourceLocation: sourceLocation)
}
