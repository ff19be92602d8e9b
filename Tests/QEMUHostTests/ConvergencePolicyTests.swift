import Testing

@testable import QEMUHost

@Suite struct ConvergencePolicyTests {
    private static func limits(_ change: (inout MigrationLimits) -> Void = { _ in }) -> MigrationLimits {
        var limits = MigrationLimits()
        limits.downtime = .milliseconds(300)
        limits.maximumDowntime = .seconds(1)
        change(&limits)
        return limits
    }

    @Test func aTransferThatGetsNearerToItsEndIsLeftAlone() {
        var policy = ConvergencePolicy(Self.limits())
        for pass in 1...60 {
            let remaining = UInt64(1_000_000 / pass)
            #expect(policy.look(elapsed: .seconds(pass * 10), pass: Int64(pass), remaining: remaining) == .none)
        }
    }

    @Test func aLongFirstPassIsNoStandstill() {
        var policy = ConvergencePolicy(Self.limits())
        for second in 1...600 {
            #expect(policy.look(elapsed: .seconds(second), pass: 1, remaining: 1 << 40) == .none)
        }
    }

    @Test func passesThatLeaveNoLessAllowALongerStandstillUpToTheLimit() {
        var policy = ConvergencePolicy(Self.limits())
        var allowed: [Duration] = []
        for second in 1...60 {
            let action = policy.look(elapsed: .seconds(second), pass: Int64(second), remaining: 1000)
            if case .allow(let downtime) = action { allowed.append(downtime) }
        }
        #expect(allowed == [.milliseconds(600), .seconds(1)])
    }

    @Test func whenAllTheTimeIsUpItIsGivenUpOrThePauseComesOnce() {
        var patient = ConvergencePolicy(Self.limits { $0.completionTimeout = .seconds(9) })
        #expect(patient.look(elapsed: .seconds(8), pass: 1, remaining: 5) == .none)
        #expect(patient.look(elapsed: .seconds(9), pass: 1, remaining: 5) == .giveUp)
        var pausing = ConvergencePolicy(
            Self.limits { limits in
                limits.completionTimeout = .seconds(9)
                limits.lastResort = .pause
            }
        )
        #expect(pausing.look(elapsed: .seconds(9), pass: 1, remaining: 5) == .pause)
        #expect(pausing.look(elapsed: .seconds(10), pass: 2, remaining: 5) == .none)
    }
}
