import HostBackend
import SimulatedHost
import Synchronization
import TestSupport
import Testing

@testable import VMOps

@Suite(.timeLimit(.minutes(5))) struct SoftShutdownTests {
    /// Seconds are too long here; the schedule is the same in hundredths.
    @Test(arguments: [
        ("obey", 4.0, 2.0, 1, false), ("ignore", 0.05, 0.02, 3, true), ("ignore", 0.04, 0.02, 2, true),
        ("not_ready", 0.05, 0.02, 3, true), ("not_ready:2", 0.05, 0.01, 3, false), ("unsupported", 60.0, 0.01, 2, true),
        ("ignore", 0.01, 5.0, 1, true), ("obey", 0.0, 5.0, 0, true),
    ])
    func theGuestIsAskedAsOftenAsTheScheduleSays(
        guest: String,
        timeout: Double,
        interval: Double,
        requests: Int,
        isTurnedOff: Bool
    ) async throws {
        try await TestWorld.withHost({ $0.simulated.guest.shutdownMilliseconds = 0 }) { host in
            let uuid = try await host.spawn(["sim.shutdown": guest])
            let asked = Atomic<Int>(0)
            let turnedOff = Atomic<Int>(0)
            host.world.simulated.setHook { _, primitive, _ in
                if primitive == .requestShutdown { asked.add(1, ordering: .relaxed) }
                if primitive == .setState { turnedOff.add(1, ordering: .relaxed) }
            }
            #expect(try await host.powerOff(uuid, seconds: timeout, interval: interval).state == "off")
            let count = asked.load(ordering: .relaxed)
            // A loaded machine may be late for a round, never early.
            #expect(guest == "obey" || guest == "unsupported" ? count == requests : count <= requests && count > 0)
            #expect(turnedOff.load(ordering: .relaxed) == (isTurnedOff ? 1 : 0) || guest == "not_ready:2")
        }
    }

    @Test func aHardPowerOffSupersedesASoftOne() async throws {
        try await TestWorld.withHost { host in
            let uuid = try await host.spawn(["sim.shutdown": "ignore"])
            try await withThrowingTaskGroup(of: String?.self) { group in
                group.addTask {
                    do {
                        _ = try await host.powerOff(uuid, seconds: 3600, interval: 3600)
                        return nil
                    } catch let error as OperationError {
                        return error.message
                    }
                }
                try await host.untilRunning("power_off", uuid)
                #expect(try await host.powerOff(uuid).state == "off")
                #expect(try await group.next() == "The soft shutdown was superseded by power_off.")
            }
        }
    }

    @Test func aRequestThatHangsIsCutShortToo() async throws {
        try await TestWorld.withHost { host in
            let uuid = try await host.spawn(["sim.fault.request_shutdown": "always hang"])
            try await withThrowingTaskGroup(of: String?.self) { group in
                group.addTask {
                    try await errorClass { _ = try await host.powerOff(uuid, seconds: 3600, interval: 1) }
                }
                try await host.untilRunning("power_off", uuid)
                #expect(try await host.powerOff(uuid).state == "off")
                #expect(try await group.next() == "InstancePowerOffFailure")
            }
        }
    }

    @Test func optionsAreReadAtEachCall() async throws {
        try await TestWorld.withHost { host in
            let uuid = try await host.spawn(["sim.shutdown": "ignore"])
            let asked = Atomic<Int>(0)
            host.world.simulated.setHook { _, primitive, _ in
                if primitive == .requestShutdown { asked.add(1, ordering: .relaxed) }
            }
            host.operations.settings.softRebootTimeout = .zero
            _ = try await host.operations.reboot(uuid, soft: true, host.context)
            #expect(asked.load(ordering: .relaxed) == 0)
            host.operations.settings.softRebootTimeout = .milliseconds(1)
            _ = try await host.operations.reboot(uuid, soft: true, host.context)
            #expect(asked.load(ordering: .relaxed) == 1)
        }
    }

    @Test func aFailedStopLeavesTheConsoleCaptured() async throws {
        try await TestWorld.withHost { host in
            let uuid = try await host.spawn(["sim.fault.set_state": "nth:2 internal"])
            #expect(try await errorClass { _ = try await host.powerOff(uuid) } == "InstancePowerOffFailure")
            #expect(try await host.isCaptured(uuid))
            #expect(try await host.state(uuid) == "running")
            #expect(try await host.powerOff(uuid).state == "off")
        }
    }
}
