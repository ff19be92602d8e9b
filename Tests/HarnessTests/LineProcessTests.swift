import Foundation
import Support
import Synchronization
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(5))) struct LineProcessTests {
    @Test func linesGoBothWays() async throws {
        try await LineProcess.run("cat", []) { process in
            #expect(try await process.ask("één") == "één")
            try await process.send("a")
            try await process.send("")
            #expect(try await process.readLine() == "a")
            #expect(try await process.readLine() == "")
        }
    }

    @Test func theEndAndStandardErrorAreTold() async throws {
        let failure = await #expect(throws: CommandFailure.self) {
            try await LineProcess.run("sh", ["-c", "echo trouble >&2; read x; exit 3"]) { process in
                try await eventually { process.standardError.contains("trouble") }
            }
        }
        #expect(failure?.standardError.contains("trouble") == true)
        #expect(failure?.status.contains("3") == true)
    }

    @Test func aSilentProcessTimesOutAndKeepsItsNextLine() async throws {
        try await LineProcess.run("cat", []) { process in
            await #expect(throws: CommandFailure.self) { try await process.readLine(timeout: .milliseconds(20)) }
            let line = try await process.ask("still there")
            #expect(line == "still there")
        }
    }

    @Test func aProcessThatIgnoresItsEndIsKilled() async throws {
        let identifier = Mutex<Int32>(0)
        try await LineProcess.run("python3", ["-c", "import time\nprint('up', flush=True)\ntime.sleep(1000)"]) {
            process in
            identifier.withLock { $0 = process.processIdentifier }
            let line = try await process.readLine()
            #expect(line == "up")
        }
        let path = "/proc/\(identifier.withLock { $0 })/cmdline"
        #expect((try? await runCommand("cat", [path])).map { $0.contains("sleep") } != true)
    }

    @Test(arguments: OsloVersion.allCases)
    func peersHaveTheirVersion(version: OsloVersion) async throws {
        guard version.isAvailable else { return #expect(!TestBroker.isRequired) }
        let found = try await runCommand(
            version.python,
            ["-c", "import importlib.metadata as m; print(m.version('oslo.messaging'))"]
        )
        #expect(found == version.rawValue)
    }

    @Test func programsAreFoundBesideTheTests() {
        #expect(FileManager.default.isExecutableFile(atPath: Checkout.program("vmopsctl")))
    }
}
