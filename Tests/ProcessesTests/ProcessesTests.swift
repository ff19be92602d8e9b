import Foundation
import Glibc
import Logging
import Support
import Synchronization
import TestSupport
import Testing

@testable import Processes

@Suite(.timeLimit(.minutes(5))) struct ProcessesTests {
    private static func processes() throws -> Processes {
        Processes(reactor: try Reactor(name: "processes"), logger: Logger(label: "test"))
    }

    private static func shell(
        _ script: String,
        output: String = "/dev/null",
        passing passed: [(source: Int32, target: Int32)] = []
    ) -> DetachedCommand {
        DetachedCommand(
            executable: "/bin/sh",
            arguments: ["-c", script],
            environment: ["PATH=/usr/bin:/bin", "COLOUR=blue"],
            workingDirectory: "/",
            outputPath: output,
            passedDescriptors: passed
        )
    }

    @Test func theStatusOfAChildIsKnown() async throws {
        let processes = try Self.processes()
        let identity = try processes.start(Self.shell("exit 7"))
        #expect(await processes.waitForEnd(identity) == .exited(7))
        #expect(await processes.waitForEnd(identity) == .exited(7), "asked again")
        #expect(!processes.isAlive(identity))
    }

    @Test func aSignalIsSeenAsOne() async throws {
        let processes = try Self.processes()
        let identity = try processes.start(Self.shell("exec sleep 1000"))
        #expect(processes.isAlive(identity))
        async let first = processes.waitForEnd(identity)
        async let second = processes.waitForEnd(identity)
        processes.signal(identity, SIGKILL)
        #expect(await [first, second] == [.signalled(SIGKILL), .signalled(SIGKILL)])
    }

    @Test func childrenAreReapedThoughNobodyWaits() async throws {
        let processes = try Self.processes()
        let identity = try processes.start(Self.shell("exit 0"))
        try await eventually("no zombie") { kill(identity.pid, 0) != 0 && errno == ESRCH }
        #expect(await processes.waitForEnd(identity) == .exited(0))
    }

    @Test func theProgramHasASessionEnvironmentDirectoryAndOutputOfItsOwn() async throws {
        try await withTemporaryDirectory { directory in
            let processes = try Self.processes()
            let path = directory + "/output"
            try Data("before\n".utf8).write(to: URL(filePath: path))
            var command = Self.shell(
                "echo $COLOUR; pwd; echo bad >&2; cut -d' ' -f1,6 /proc/self/stat; grep SigBlk /proc/self/status; cat",
                output: path
            )
            command.workingDirectory = directory
            let identity = try processes.start(command)
            #expect(await processes.waitForEnd(identity) == .exited(0), "standard input is at its end")
            let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
            try #require(lines.count == 6)
            #expect(lines[0...3] == ["before", "blue", Substring(directory), "bad"])
            #expect(lines[4].hasSuffix(" \(identity.pid)"), "its session is its own: \(lines[4])")
            #expect(lines[5].hasSuffix("0000000000000000"), "no signal is blocked: \(lines[5])")
        }
    }

    @Test func onlyPassedDescriptorsAreOpen() async throws {
        try await withTemporaryDirectory { directory in
            let processes = try Self.processes()
            var pipe: [Int32] = [0, 0]
            // Without close-on-exec on purpose: it must be closed nevertheless.
            try #require(Glibc.pipe(&pipe) == 0)
            defer { for end in pipe { close(end) } }
            let path = directory + "/output"
            let command = Self.shell(
                "echo through >&5; cd /proc/self/fd && echo *",
                output: path,
                passing: [(pipe[1], 5), (pipe[0], 3)]
            )
            #expect(await processes.waitForEnd(try processes.start(command)) == .exited(0))
            var bytes = [UInt8](repeating: 0, count: 64)
            let count = read(pipe[0], &bytes, bytes.count)
            #expect(String(decoding: bytes.prefix(max(0, count)), as: UTF8.self) == "through\n")
            // The shell lists its own directory by one more descriptor.
            let open = try String(contentsOfFile: path, encoding: .utf8).split(whereSeparator: \.isWhitespace)
            #expect(Set(open).subtracting(["4", "10"]) == ["0", "1", "2", "3", "5"])
        }
    }

    @Test func newOutputFilesAreTheOwnersAlone() async throws {
        try await withTemporaryDirectory { directory in
            let processes = try Self.processes()
            let identity = try processes.start(Self.shell("echo x", output: directory + "/output"))
            _ = await processes.waitForEnd(identity)
            let mode = try FileManager.default.attributesOfItem(atPath: directory + "/output")[.posixPermissions]
            #expect(mode as? Int == 0o600)
            try FileManager.default.createSymbolicLink(
                atPath: directory + "/link",
                withDestinationPath: directory + "/output"
            )
            #expect(throws: ProcessError.self) {
                try processes.start(Self.shell("echo x", output: directory + "/link"))
            }
        }
    }

    @Test func whatCannotBeExecutedIsAnError() throws {
        let processes = try Self.processes()
        let wrong: [(DetachedCommand, ProcessError.Code)] = [
            (DetachedCommand(executable: "/nonexistent/program"), .execution),
            (DetachedCommand(executable: "true"), .invalid),
            (DetachedCommand(executable: "/bin/true", arguments: ["a\0b"]), .invalid),
            (DetachedCommand(executable: "/bin/true", workingDirectory: "/nonexistent"), .execution),
            (DetachedCommand(executable: "/bin/true", outputPath: "/nonexistent/output"), .output),
            (DetachedCommand(executable: "/bin/true", passedDescriptors: [(0, 2)]), .invalid),
            (DetachedCommand(executable: "/bin/true", passedDescriptors: [(9999, 3)]), .invalid),
        ]
        for (command, code) in wrong {
            let error = #expect(throws: ProcessError.self) { try processes.start(command) }
            #expect(error?.code == code, "\(command)")
        }
    }

    @Test func aProcessThatIsNoChildIsWatchedToo() async throws {
        try await withTemporaryDirectory { directory in
            let path = directory + "/pid"
            let processes = try Self.processes()
            // The shell ends at once and leaves the sleeper to somebody else.
            let shell = try processes.start(Self.shell("sleep 1000 & echo $!", output: path))
            #expect(await processes.waitForEnd(shell) == .exited(0))
            let text = try String(contentsOfFile: path, encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)
            let pid = try #require(Int32(text))
            let identity = try #require(ProcessIdentity(running: pid))
            let later = try Self.processes()
            #expect(later.isAlive(identity))
            async let end = later.waitForEnd(identity)
            later.signal(identity, SIGKILL)
            #expect(await end == .unknown)
            #expect(!later.isAlive(identity))
        }
    }

    @Test func anotherProcessWithThePidIsLeftAlone() async throws {
        let processes = try Self.processes()
        let identity = try processes.start(Self.shell("exec sleep 1000"))
        let former = ProcessIdentity(pid: identity.pid, startTime: identity.startTime - 1)
        #expect(!processes.isAlive(former))
        #expect(await processes.waitForEnd(former) == .unknown)
        processes.signal(former, SIGKILL)
        #expect(processes.isAlive(identity))
        processes.signal(identity, SIGKILL)
        #expect(await processes.waitForEnd(identity) == .signalled(SIGKILL))
    }

    @Test func aWaitCanBeCancelled() async throws {
        let processes = try Self.processes()
        let identity = try processes.start(Self.shell("exec sleep 1000"))
        let end = await withTaskGroup(of: ProcessEnd.self) { group in
            group.addTask { await processes.waitForEnd(identity) }
            group.cancelAll()
            return await group.next()
        }
        #expect(end == .waitCancelled)
        #expect(processes.isAlive(identity))
        processes.signal(identity, SIGKILL)
        #expect(await processes.waitForEnd(identity) == .signalled(SIGKILL))
    }

    @Test func zombiesAndStoppedProcessesAreToldApart() throws {
        let line = "42 (odd) name) STATE 1 42 42 0 -1 0 0 0 0 0 1 2 0 0 20 0 1 0 987 0"
        for (state, alive) in [("S", true), ("T", true), ("R", true), ("Z", false), ("X", false)] {
            let status = try #require(
                ProcessStatus(stat: line.replacingOccurrences(of: "STATE", with: state))
            )
            #expect(status.startTime == 987)
            #expect(status.hasEnded != alive)
        }
        #expect(ProcessStatus(stat: "nothing of the kind") == nil)
    }
}
