import Testing

@testable import Console

@Suite struct ConsolePaceTests {
    @Test func restsLongerTheLessComes() {
        var pace = ConsolePace()
        #expect(pace.rest == .zero)
        pace.took(100, at: .milliseconds(1))
        var rests: [Duration] = []
        for look in 2..<20 {
            pace.took(100, at: .milliseconds(look))
            rests.append(pace.rest)
        }
        #expect(rests == rests.sorted())
        #expect(rests.last == .milliseconds(50))
        #expect(pace.restBefore(.milliseconds(20)) == .milliseconds(50))
        #expect(pace.restBefore(.milliseconds(500)) == nil)
    }

    @Test func doesNotRestBetweenLargeLooksForOneThatWasSmall() {
        var pace = ConsolePace()
        for look in 0..<20 {
            pace.took(look % 2 == 0 ? 60_000 : 100, at: .milliseconds(look))
            #expect(pace.rest == .zero)
        }
        pace.took(100, at: .milliseconds(20))
        #expect(pace.rest > .zero)
        pace.took(60_000, at: .milliseconds(21))
        #expect(pace.rest == .zero)
    }
}
