import Foundation
import PluginKit
import Support
import TestSupport
import Testing

/// The program's side: what it prints, and its exit status.
@Suite(.timeLimit(.minutes(10))) struct ReportTests {
    private static let command = PluginsUnderTest.pythonExample.joined(separator: " ")
    private static let path = "PYTHONPATH=" + Checkout.root.appending(path: "plugins/python").path

    private static func check(_ arguments: [String]) async throws -> String {
        try await runCommand(
            Checkout.program("vmopsctl"),
            ["plugin", "check", command, "--environment", path] + arguments
        )
    }

    @Test func aPluginThatPassesIsReportedInWords() async throws {
        let text = try await Self.check([
            "--only", "handshake is complete", "--only", "preboot", "--boot-text", "login:",
        ])
        #expect(text.contains("passed   §3    the handshake is complete"))
        #expect(text.contains("memory 1.0: 1 passed, 0 failed, 0 advised, 0 skipped"))
    }

    @Test func theReportIsForProgramsToo() async throws {
        let text = try await Self.check(["--only", "7.1", "--report", "json"])
        let report = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        #expect(report["passed"] as? Bool == true)
        let checks = try #require(report["checks"] as? [[String: Any]])
        #expect(checks.compactMap { $0["outcome"] as? String } == ["passed"])
        #expect(checks.first?["section"] as? String == "7.1")
        #expect(checks.first?["seconds"] as? Double != nil)
    }

    @Test func aFailureIsTheExitStatus() async throws {
        let failure = await #expect(throws: CommandFailure.self) {
            try await runCommand(Checkout.program("vmopsctl"), ["plugin", "check", "/bin/false", "--only", "3"])
        }
        #expect(failure?.status.contains("1") == true)
    }

    @Test func eachCheckHasANameOfItsOwn() {
        #expect(Set(PluginKitRun.names).count == PluginKitRun.names.count)
        #expect(PluginKitRun.names.count > 60)
    }
}
