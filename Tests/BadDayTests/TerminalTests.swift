import DaemonBench
import Support
import TestSupport
import Testing

/// `vmopsctl console` on a terminal.
@Suite(.enabled(if: TestBroker.isAvailable, Comment(rawValue: TestBroker.missing)), .timeLimit(.minutes(5)))
struct TerminalTests {
    private static let settings = DaemonSettings(options: ["simulated": ["boot_lines": "3"]])

    @Test func anOperatorTypesAndLeaves() async throws {
        try await Bench.run(Self.settings) { bench in
            let instance = TestInstance("typed-on")
            try await bench.spawn(instance)
            try await eventually("prompt") { try await bench.text(instance).contains("login: ") }
            let arguments = ["console", "typed-on", "--interactive", "--url", bench.daemon.url]
            try await TerminalProcess.run(arguments) { terminal in
                // What is already there.
                try await terminal.expect("typed-on login: ")
                // Typed, sent, echoed by the guest, and obeyed; sequences pass.
                try await terminal.type("echo \u{1B}[2J over the queue\r")
                try await terminal.expect("\n\u{1B}[2J over the queue\n")
                // Ctrl-C is the guest's, and so is a Ctrl-] that is not followed by a full stop.
                try await terminal.type("\u{3}\u{1D}x\r")
                try await eventually("keys") { try await bench.text(instance).contains("\u{3}\u{1D}x") }
                // The machine goes off; input is refused, what it printed is still shown, and it all goes on.
                try await bench.call("power_off", instance.reference)
                try await terminal.type("lost")
                try await terminal.expect("Cannot console_write while the instance is in this state.")
                terminal.forget()
                try await bench.call("power_on", instance.reference)
                try await terminal.expect("login: ")
                try await terminal.type("echo again\r")
                try await terminal.expect("\nagain\n")
                try await terminal.type("\u{1D}.")
                let end = try await terminal.end()
                #expect(end.status == 0)
                #expect(end.isRestored)
            }
            #expect(try await !bench.text(instance).contains("lost"))
        }
    }

    @Test func aGuestsSequencesReachTheTerminalOnlyWhenAskedFor() async throws {
        try await Bench.run(Self.settings) { bench in
            let instance = TestInstance("hostile")
            try await bench.spawn(instance)
            try await eventually("prompt") { try await bench.text(instance).contains("login: ") }
            var typing = instance.reference
            typing["data"] = .string(Base64.encode(Array("echo \u{1B}[31mred\u{1B}[2J\r".utf8)))
            try await bench.call("console_write", typing)
            try await eventually("output") { try await bench.text(instance).contains("\n\u{1B}[31mred") }
            let arguments = ["console", "hostile", "--url", bench.daemon.url]
            try await TerminalProcess.run(arguments) { terminal in
                let end = try await terminal.end()
                #expect(end.status == 0)
                #expect(terminal.shown.contains("\n\u{1B}[31mred^[[2J"))
                #expect(!terminal.shown.contains("\u{1B}[2J"))
                #expect(terminal.shown.contains("\u{1B}[0m"))
            }
            try await TerminalProcess.run(arguments + ["--raw"]) { terminal in
                _ = try await terminal.end()
                #expect(terminal.shown.contains("\n\u{1B}[31mred\u{1B}[2J"))
            }
        }
    }
}

extension Bench {
    /// All that is kept of an instance's console.
    fileprivate func text(_ instance: TestInstance) async throws -> String {
        try await call("get_console_output", instance.reference, on: instance.host).stringValue ?? ""
    }
}
