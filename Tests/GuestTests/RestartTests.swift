import DaemonBench
import Foundation
import Glibc
import Support
import TestSupport
import Testing

/// Machines outlive their daemon, and a new one takes them up.
@Suite(.enabled(if: GuestBench.isPossible, Comment(rawValue: GuestBench.missing)), .timeLimit(.minutes(5)))
struct RestartTests {
    @Test func noByteOfAPrintingGuestIsLostOrRepeatedWhenTheDaemonIsKilled() async throws {
        try await GuestBench.run { guests in
            let instance = TestInstance("printer")
            _ = try await guests.spawn(instance)
            try await guests.awaitConsole(instance, "ready")
            let process = try #require(try guests.qemu(instance))
            // 6,000 lines of 64 bytes: a few seconds of printing without pause.
            try await guests.type("b1770\n", instance)
            for _ in 1...3 {
                let end = try await guests.bench.consoleEnd(instance)
                try await eventually("more output") { try await guests.bench.consoleEnd(instance) > end }
                try await guests.bench.daemon.kill()
                try await guests.bench.daemon.start()
                #expect(try guests.qemu(instance) == process)
            }
            try await guests.awaitConsole(instance, "blast done")
            try Ticks.check(try await guests.console(instance), boots: 1)
        }
    }

    @Test func whatHappenedWhileNoDaemonWasThereIsFoundOut() async throws {
        try await GuestBench.run { guests in
            let off = TestInstance("off")
            let crashed = TestInstance("crashed")
            let paused = TestInstance("paused")
            for instance in [off, crashed, paused] {
                _ = try await guests.spawn(instance)
                try await guests.awaitConsole(instance, "ready")
            }
            try await guests.perform("pause", paused)
            // The guest obeys after a while of printing, so that the daemon is gone by then.
            try await guests.type("b200\np\n", off)
            try await guests.awaitConsole(off, "rx b200")
            let victim = try #require(try guests.qemu(crashed))
            try await guests.bench.daemon.kill()
            #expect(Glibc.kill(victim, SIGKILL) == 0)
            try await eventually("the end of the killed machine") { try guests.qemu(crashed) == nil }
            try await guests.bench.daemon.start()
            try await guests.awaitState(off, "off")
            #expect(try await guests.console(off).contains("power off"))
            try await guests.awaitState(crashed, "error")
            #expect(try await guests.bench.state(paused) == "paused")
            try await guests.perform("unpause", paused)
            for instance in [off, crashed] { try await guests.perform("power_on", instance) }
            for instance in [off, crashed] { try await guests.awaitConsole(instance, "ready", times: 2) }
        }
    }

    @Test func aSpawnThatWasCutShortLeavesNothing() async throws {
        try await GuestBench.run { guests in
            for number in 1...4 {
                let instance = TestInstance("cut")
                try await guests.bench.cast(
                    "spawn",
                    [
                        "instance": [
                            "uuid": .string(instance.uuid), "name": "cut", "memory_mb": 16, "vcpus": 1, "root_gb": 0,
                            "image_ref": "tick",
                        ]
                    ]
                )
                let directory = guests.bench.daemon.statePath + "/host-a/instances/" + instance.uuid
                try await eventually("the begin of the spawn") { FileManager.default.fileExists(atPath: directory) }
                // The moment is meant to be any.
                try await Task.sleep(for: .milliseconds(number * 30))
                try await guests.bench.daemon.kill()
                try await guests.bench.daemon.start()
                // The request was accepted: it is undone or finished, and nothing in between is left.
                try await eventually("an end of the spawn") {
                    let failure = try await guests.failure("get_info", instance)
                    let state = failure == nil ? try await guests.bench.state(instance) : failure
                    guard state == "running" || state == "InstanceNotFound" else { return false }
                    return try QEMU.processes(uuid: instance.uuid).count == (state == "running" ? 1 : 0)
                        && FileManager.default.fileExists(atPath: directory) == (state == "running")
                }
            }
        }
    }
}
