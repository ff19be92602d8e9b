import Testing

@testable import OsloMessaging

@Suite struct RecentNumbersTests {
    /// Against a plain list: numbers that are new, still known and just forgotten, in any mixture.
    @Test(arguments: [1, 2, 7, 100])
    func exactlyTheLastAreKnown(_ capacity: Int) {
        var numbers = RecentNumbers(capacity: capacity)
        var last: [RecentNumbers.Number] = []
        var generator = SystemRandomNumberGenerator()
        var repetitions = 0
        for _ in 0..<4000 {
            let number = RecentNumbers.Number(
                high: UInt64.random(in: 0..<3, using: &generator),
                low: UInt64.random(in: 0..<UInt64(capacity), using: &generator)
            )
            let isNew = !last.contains(number)
            if isNew {
                last.append(number)
                if last.count > capacity { last.removeFirst() }
            } else {
                repetitions += 1
            }
            #expect(numbers.insert(number) == isNew)
            #expect(numbers.count == last.count)
        }
        #expect(repetitions > 100)
    }
}
