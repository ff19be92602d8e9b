import Testing

@testable import AMQPTransport

@Suite struct RepeatedFailuresTests {
    @Test func aFailureIsSaidOnceUntilItChangesOrLasts() {
        var failures = RepeatedFailures()
        let start = ContinuousClock.now
        let said1 = failures.isNews(.consuming, "a:1", "refused", at: start)
        #expect(said1)
        let said2 = failures.isNews(.consuming, "a:1", "refused", at: start + .seconds(29))
        #expect(!said2)
        let said3 = failures.isNews(.consuming, "a:1", "refused", at: start + .seconds(31))
        #expect(said3)
        let said4 = failures.isNews(.consuming, "a:1", "timed out", at: start + .seconds(32))
        #expect(said4)
    }

    @Test func addressesAndConnectionsCountApart() {
        var failures = RepeatedFailures()
        let now = ContinuousClock.now
        let said5 = failures.isNews(.consuming, "a:1", "refused", at: now)
        #expect(said5)
        let said6 = failures.isNews(.publishing, "a:1", "refused", at: now)
        #expect(said6)
        let said7 = failures.isNews(.consuming, "b:1", "refused", at: now)
        #expect(said7)
        let said8 = failures.isNews(.consuming, "a:1", "refused", at: now)
        #expect(!said8)
    }

    @Test func afterAConnectionTheNextFailureIsNews() {
        var failures = RepeatedFailures()
        let now = ContinuousClock.now
        let said9 = failures.isNews(.consuming, "a:1", "refused", at: now)
        #expect(said9)
        failures.connected(.consuming)
        let said10 = failures.isNews(.consuming, "a:1", "refused", at: now)
        #expect(said10)
    }
}
