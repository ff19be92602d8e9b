import DaemonBench
import Foundation
import Glibc
import Support
import TestSupport
import Testing

/// Machines that die, hang, or are not let live.
@Suite(.enabled(if: GuestBench.isPossible, Comment(rawValue: GuestBench.missing)), .timeLimit(.minutes(5)))
struct TroubleTests {
    @Test func aMachineWhoseProcessIsKilledHasCrashedAndStartsAgain() async throws {
        try await GuestBench.run { guests in
            let instance = TestInstance("victim")
            _ = try await guests.spawn(instance)
            try await guests.awaitConsole(instance, "ready")
            let process = try #require(try guests.qemu(instance))
            #expect(kill(process, SIGKILL) == 0)
            try await guests.awaitState(instance, "error")
            try await guests.perform("power_on", instance)
            try await guests.awaitConsole(instance, "ready", times: 2)
            #expect(!FileManager.default.fileExists(atPath: "/proc/\(process)"), "a zombie is left")
        }
    }

    @Test func aHungMachineHoldsUpNobodyElse() async throws {
        let settings = GuestBench.settings(options: ["qemu": ["command_timeout": "2"]])
        try await GuestBench.run(settings) { guests in
            let hung = TestInstance("hung")
            let other = TestInstance("other")
            for instance in [hung, other] {
                _ = try await guests.spawn(instance)
                try await guests.awaitConsole(instance, "ready")
            }
            let process = try #require(try guests.qemu(hung))
            #expect(kill(process, SIGSTOP) == 0)
            #expect(try await guests.failure("pause", hung) != nil)
            try await guests.perform("pause", other)
            try await guests.perform("unpause", other)
            #expect(kill(process, SIGCONT) == 0)
            try await eventually(timeout: .seconds(60), "obedience again") {
                try await guests.failure("pause", hung) == nil
            }
            #expect(kill(process, SIGSTOP) == 0)
            // Even a machine that hears nothing can be removed.
            try await guests.perform("destroy", hung)
            #expect(try guests.qemu(hung) == nil)
        }
    }

    @Test func twentyMachinesLeaveNoProcessNoDescriptorAndNoFile() async throws {
        try await GuestBench.run { guests in
            let warm = TestInstance("warm")
            _ = try await guests.spawn(warm)
            try await guests.perform("destroy", warm)
            let before = try guests.bench.process().descriptors
            for _ in 1...5 {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 1...4 {
                        group.addTask {
                            let instance = TestInstance("many-\(number)")
                            _ = try await guests.spawn(instance)
                            try await guests.awaitConsole(instance, "ready")
                            try await guests.perform("destroy", instance)
                            #expect(try guests.qemu(instance) == nil)
                        }
                    }
                    try await group.waitForAll()
                }
            }
            try await eventually("as many descriptors as before") {
                try guests.bench.process().descriptors <= before + 1
            }
            let instances = guests.bench.daemon.statePath + "/host-a/instances"
            #expect(try FileManager.default.contentsOfDirectory(atPath: instances).isEmpty)
            let children = try await runCommand(
                "sh",
                ["-c", "ps -o stat= --ppid \(guests.bench.daemon.processIdentifier ?? 0) | grep -c Z || true"]
            )
            #expect(children == "0")
        }
    }
}
