import Foundation
import Glibc
import Logging
import Processes
import QMP
import Support
import TestSupport
import Testing

/// The session against QEMU itself.
@Suite(.enabled(if: QEMUProgram.isInstalled, "\(QEMUProgram.missing)"), .timeLimit(.minutes(5)))
struct RealQEMUTests {
    @Test func commandsAreAnsweredAndEventsComeInOrder() async throws {
        try await RealMachine.run { machine in
            let session = machine.session
            #expect(try await session.execute("query-status")["status"] == "prelaunch")
            var events = session.events.makeAsyncIterator()
            for command in ["cont", "stop", "cont"] { _ = try await session.execute(command) }
            var names: [String] = []
            while names.count < 3, let event = await events.next() {
                names.append(event.name)
                let age = Date().timeIntervalSince1970 - Double(event.microseconds) / 1e6
                #expect(abs(age) < 600)
            }
            #expect(names == ["RESUME", "STOP", "RESUME"])
            #expect(session.isOpen)
        }
    }

    @Test func aRefusalCarriesItsClassAndText() async throws {
        try await RealMachine.run { machine in
            let error = await #expect(throws: QMPError.self) {
                try await machine.session.execute("device_del", ["id": "nothing"])
            }
            #expect(error?.code == .refused)
            #expect(error?.errorClass == "DeviceNotFound")
            #expect(error?.message.contains("nothing") == true)
        }
    }

    @Test func aMegabyteInOneLineIsRead() async throws {
        try await RealMachine.run { machine in
            let schema = try await machine.session.execute("query-qmp-schema")
            #expect((schema.arrayValue?.count ?? 0) > 500)
        }
    }

    @Test func aDescriptorGoesAlong() async throws {
        try await RealMachine.run { machine in
            let path = machine.directory + "/memory"
            let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
            defer { close(file) }
            _ = try await machine.session.execute("getfd", ["fdname": "m"], descriptor: file)
            _ = try await machine.session.execute("migrate", ["uri": "fd:m"])
            try await eventually("the machine is saved") {
                try await machine.session.execute("query-migrate")["status"] == "completed"
            }
            let size = try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int
            #expect((size ?? 0) > 10_000)
        }
    }

    @Test func quitIsAnsweredOrEndsTheSession() async throws {
        try await RealMachine.run { machine in
            do {
                _ = try await machine.session.execute("quit")
            } catch let error as QMPError {
                #expect(error.code == .closed)
            }
            #expect(await machine.processes.waitForEnd(machine.process) == .exited(0))
            var names: [String] = []
            for await event in machine.session.events { names.append(event.name) }
            #expect(names.filter { $0 != "SHUTDOWN" }.isEmpty, "the events end with the session")
            #expect(!machine.session.isOpen)
            let error = await #expect(throws: QMPError.self) { try await machine.session.execute("query-status") }
            #expect(error?.code == .closed)
        }
    }

    @Test func aKilledQEMUEndsTheSessionByItself() async throws {
        try await RealMachine.run { machine in
            machine.processes.signal(machine.process, SIGKILL)
            for await _ in machine.session.events {}
            #expect(!machine.session.isOpen)
        }
    }

    @Test func aStoppedQEMUIsATimeoutAndItsLateAnswerIsDropped() async throws {
        try await RealMachine.run { machine in
            machine.processes.signal(machine.process, SIGSTOP)
            let error = await #expect(throws: QMPError.self) {
                try await machine.session.execute("query-status", deadline: .milliseconds(50))
            }
            #expect(error?.code == .timeout)
            machine.processes.signal(machine.process, SIGCONT)
            let name = try await machine.session.execute("query-name")
            #expect(name.objectValue != nil)
        }
    }

    @Test func aSecondClientGetsNoGreetingAndTheNextOneDoesAtOnce() async throws {
        try await RealMachine.run { machine in
            let path = machine.directory + "/qmp.sock"
            let logger = Logger(label: "test")
            let error = await #expect(throws: QMPError.self) {
                try await QMPSession.connect(
                    path: path,
                    reactor: machine.reactor,
                    deadline: .milliseconds(200),
                    logger: logger
                )
            }
            #expect(error?.code == .unreachable)
            machine.session.close()
            let next = try await QMPSession.connect(
                path: path,
                reactor: machine.reactor,
                deadline: .seconds(20),
                logger: logger
            )
            #expect(try await next.execute("query-status")["status"] == "prelaunch")
        }
    }
}
