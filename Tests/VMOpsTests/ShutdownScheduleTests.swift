import Testing

@testable import VMOps

@Suite struct ShutdownScheduleTests {
    @Test(arguments: [
        (2.0, 1.0, [1.0, 1.0]),
        (2.0, 1.5, [1.5, 0.5]),
        (0.0, 5.0, []),
        (-1.0, 5.0, []),
        (60.0, 10.0, [10, 10, 10, 10, 10, 10]),
        (3.0, 5.0, [3.0]),
        (12.0, 0.0, [5.0, 5.0, 2.0]),
    ])
    func waitsFollowTheBudget(timeout: Double, interval: Double, expected: [Double]) {
        let schedule = ShutdownSchedule(timeout: .seconds(timeout), interval: .seconds(interval))
        #expect(Array(schedule) == expected.map { .seconds($0) })
    }
}
