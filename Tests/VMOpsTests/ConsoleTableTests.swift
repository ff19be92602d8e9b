import Console
import HostBackend
import SimulatedHost
import TestSupport
import Testing

@testable import VMOps

/// The rows of the console table, VM operations section 5.3: who captures, which marks, and that nothing is lost.
@Suite(.timeLimit(.minutes(5))) struct ConsoleTableTests {
    private func expect(
        _ host: TestHost,
        _ uuid: InstanceUUID,
        captured: Bool,
        _ marks: [ConsoleMarkKind],
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        #expect(try await host.isCaptured(uuid) == captured, sourceLocation: sourceLocation)
        #expect(try await host.marks(uuid) == marks, sourceLocation: sourceLocation)
    }

    @Test func startPauseSuspendResumeAndStop() async throws {
        try await TestWorld.withHost { host in
            let uuid = try await host.spawn()
            try await expect(host, uuid, captured: true, [.boot])
            try await host.awaitLog(uuid, contains: "login: ")
            _ = try await host.operations.pause(uuid, host.context)
            try await expect(host, uuid, captured: true, [.boot])
            _ = try await host.operations.unpause(uuid, host.context)
            try await expect(host, uuid, captured: true, [.boot])
            try await host.type("lines 50", on: uuid)
            _ = try await host.operations.suspend(uuid, host.context)
            try await expect(host, uuid, captured: false, [.boot, .suspend])
            _ = try await host.operations.resume(uuid, host.context)
            try await expect(host, uuid, captured: true, [.boot, .suspend, .resume])
            try await host.awaitLog(uuid, contains: "line 50\n")
            _ = try await host.powerOff(uuid)
            try await expect(host, uuid, captured: false, [.boot, .suspend, .resume, .stop])
            let log = try await host.log(uuid)
            #expect(log.split(separator: "\n").count { $0 == "line 17" } == 1)
            _ = try await host.operations.powerOn(uuid, host.context)
            try await expect(host, uuid, captured: true, [.boot, .suspend, .resume, .stop, .boot])
            #expect(try await host.log(uuid).hasPrefix(log))
        }
    }

    @Test func theLastLinesOfAnOrderlyShutdownAreInTheLog() async throws {
        try await TestWorld.withHost { host in
            let uuid = try await host.spawn()
            _ = try await host.powerOff(uuid, seconds: 20, interval: 5)
            try await expect(host, uuid, captured: false, [.boot, .stop])
            #expect(try await host.log(uuid).hasSuffix("reboot: Power down\n"))
        }
    }

    @Test func aResetMarksABootOnceAndKeepsTheWriter() async throws {
        try await TestWorld.withHost { host in
            let uuid = try await host.spawn()
            try await host.awaitLog(uuid, contains: "login: ")
            _ = try await host.operations.reboot(uuid, soft: false, host.context)
            try await eventually("second boot log") {
                try await host.log(uuid).components("Simulated kernel").count == 3
            }
            // The host reports the reset too; an operation after it shows that the report was dealt with.
            _ = try await host.operations.pause(uuid, host.context)
            try await expect(host, uuid, captured: true, [.boot, .boot])
            #expect(!host.observer.all.contains { $0.hasPrefix("changed") })
        }
    }

    @Test func aSoftRebootClosesAndOpensAgain() async throws {
        try await TestWorld.withHost { host in
            let uuid = try await host.spawn()
            _ = try await host.operations.reboot(uuid, soft: true, host.context)
            try await expect(host, uuid, captured: true, [.boot, .stop, .boot])
            try await eventually("second boot log") {
                try await host.log(uuid).components("Simulated kernel").count == 3
            }
            #expect(try await host.log(uuid).contains("reboot: Power down\n"))
        }
    }

    @Test func aSoftRebootThatTheGuestIgnoresIsAReset() async throws {
        try await TestWorld.withHost { host in
            let uuid = try await host.spawn(["sim.shutdown": "ignore"])
            _ = try await host.operations.reboot(uuid, soft: true, host.context)
            try await expect(host, uuid, captured: true, [.boot, .boot])
        }
    }

    @Test func destroyKeepsTheLogOnlyWithTheDisks() async throws {
        try await TestWorld.withHost { host in
            let uuid = try await host.spawn()
            try await host.awaitLog(uuid, contains: "login: ")
            try await host.destroy(uuid, disks: false)
            #expect(host.exists(host.directory(uuid) + "/console.log"))
            #expect(try await host.isCaptured(uuid) == false)
            try await host.destroy(uuid)
            #expect(try await host.traces(uuid) == [])
        }
    }

    @Test func whatAGuestDoesByItselfIsMarked() async throws {
        try await TestWorld.withHost { host in
            for (command, state, mark, captured) in [
                ("poweroff", MachineState.off, ConsoleMarkKind.stop, false), ("crash", .error, .crash, false),
            ] {
                let uuid = try await host.spawn()
                try await host.awaitLog(uuid, contains: "login: ")
                try await host.type(command, on: uuid)
                try await eventually(command) { try await host.record(uuid)?.state == state }
                try await expect(host, uuid, captured: captured, [.boot, mark])
                try await eventually("told") { host.observer.all.contains("changed \(state.rawValue)") }
                _ = try await host.operations.powerOn(uuid, host.context)
                try await expect(host, uuid, captured: true, [.boot, mark, .boot])
            }
        }
    }

    @Test func aRebootByTheGuestIsMarked() async throws {
        try await TestWorld.withHost { host in
            let uuid = try await host.spawn()
            try await host.awaitLog(uuid, contains: "login: ")
            try await host.type("reboot", on: uuid)
            try await eventually("mark") { try await host.marks(uuid) == [.boot, .boot] }
            #expect(try await host.isCaptured(uuid))
            try await eventually("told") { host.observer.all.last == "changed running" }
        }
    }

    @Test func anAbsentConsoleFailsNothing() async throws {
        try await TestWorld.withHost({ $0.simulated.withoutCapabilities = ["console.output"] }) { host in
            let uuid = try await host.spawn()
            let failure = try await errorClass { _ = try await host.log(uuid) }
            #expect(failure == "ConsoleNotAvailable")
            _ = try await host.powerOff(uuid)
        }
    }
}

extension String {
    func components(_ separator: String) -> [Substring] {
        split(separator: separator, omittingEmptySubsequences: false)
    }
}
