import DaemonBench
import Foundation
import Support
import TestSupport
import Testing

/// Real machines, asked for over the queue.
@Suite(.enabled(if: GuestBench.isPossible, Comment(rawValue: GuestBench.missing)), .timeLimit(.minutes(5)))
struct LifeCycleTests {
    @Test func aMachineLivesFromSpawnToDestroyAndItsConsoleHasEveryLine() async throws {
        try await GuestBench.run { guests in
            let instance = TestInstance("web")
            let info = try await guests.spawn(instance)
            #expect(info["state"]?.stringValue == "running")
            let boot = try await guests.awaitConsole(instance, "ready")
            #expect(boot.contains("uuid=\(instance.uuid) ram=16 cpus=1"))
            try await guests.type("t1\n", instance)
            try await guests.awaitConsole(instance, "tick")

            try await guests.perform("pause", instance)
            let paused = try await guests.console(instance)
            #expect(try await guests.bench.state(instance) == "paused")
            try await guests.perform("unpause", instance)
            try await eventually("ticks after the pause") { try await guests.console(instance).count > paused.count }

            try await guests.perform("suspend", instance)
            #expect(try guests.qemu(instance) == nil)
            #expect(try await guests.bench.state(instance) == "suspended")
            let saved = try await guests.console(instance)
            try await guests.perform("resume", instance)
            try await eventually("ticks after the resume") { try await guests.console(instance).count > saved.count }
            try Ticks.check(try await guests.console(instance), boots: 1)

            try await guests.perform("reboot", instance, ["reboot_type": "HARD"])
            try await guests.awaitConsole(instance, "ready", times: 2)
            try await guests.perform("reboot", instance, ["reboot_type": "SOFT"])
            let soft = try await guests.awaitConsole(instance, "ready", times: 3)
            #expect(soft.contains("power button"))

            try await guests.perform("power_off", instance, ["timeout": 30, "retry_interval": 5])
            #expect(try await guests.bench.state(instance) == "off")
            #expect(try guests.qemu(instance) == nil)
            #expect(try await guests.console(instance).contains("power off"))
            try await guests.perform("power_on", instance)
            try await guests.awaitConsole(instance, "ready", times: 4)
            let log = try await guests.console(instance)
            // A reset may cut a line; the boots before and after are whole.
            #expect(log.components(separatedBy: "[00000000]").count == 5)

            try await guests.perform("destroy", instance)
            #expect(try guests.qemu(instance) == nil)
            let left = guests.bench.daemon.statePath + "/host-a/instances/" + instance.uuid
            #expect(!FileManager.default.fileExists(atPath: left))
            #expect(try await guests.failure("get_info", instance) == "InstanceNotFound")
        }
    }

    @Test func aGuestThatIgnoresThePowerButtonIsTurnedOffInTheEnd() async throws {
        try await GuestBench.run { guests in
            let instance = TestInstance("deaf")
            _ = try await guests.spawn(instance)
            try await guests.awaitConsole(instance, "ready")
            try await guests.type("i1\n", instance)
            try await guests.awaitConsole(instance, "rx i1")
            try await guests.perform("power_off", instance, ["timeout": 2, "retry_interval": 1])
            #expect(try await guests.bench.state(instance) == "off")
            let log = try await guests.console(instance)
            #expect(log.contains("power button"))
            #expect(!log.contains("power off"))
        }
    }

    @Test(arguments: [("p\n", "off"), ("r\n", "running"), ("x\n", "running")])
    func whatAGuestDoesByItselfIsNoticed(_ command: String, _ state: String) async throws {
        try await GuestBench.run { guests in
            let instance = TestInstance("wilful")
            _ = try await guests.spawn(instance)
            try await guests.awaitConsole(instance, "ready")
            try await guests.type(command, instance)
            if state == "off" {
                try await guests.awaitState(instance, "off")
                // It waits for its last words to be read.
                try await guests.awaitConsole(instance, "power off")
                try await eventually("the end of its QEMU") { try guests.qemu(instance) == nil }
            } else {
                try await guests.awaitConsole(instance, "ready", times: 2)
                #expect(try await guests.bench.state(instance) == "running")
                try await eventually("a second boot mark") {
                    let marks = try await guests.perform("console_marks", instance).arrayValue ?? []
                    return marks.filter { $0["kind"]?.stringValue == "boot" }.count == 2
                }
            }
        }
    }

    @Test func figuresAreTheMachinesOwn() async throws {
        try await GuestBench.run { guests in
            let instance = TestInstance("figures")
            _ = try await guests.spawn(instance)
            try await guests.awaitConsole(instance, "ready")
            try await guests.type("l1\n", instance)
            try await guests.awaitConsole(instance, "rx l1")
            var times: [Int64] = []
            try await eventually("CPU time that grows") {
                let info = try await guests.perform("get_info", instance)
                times.append(info["cpu_time_ns"]?.intValue ?? 0)
                return (times.last ?? 0) > (times.first ?? 0)
            }
            let diagnostics = try await guests.perform("get_diagnostics", instance)
            #expect(diagnostics.objectValue?.isEmpty == false)
            let resources = try await guests.bench.call("get_available_resource")
            #expect(resources["hypervisor_type"]?.stringValue == "QEMU")
        }
    }
}
