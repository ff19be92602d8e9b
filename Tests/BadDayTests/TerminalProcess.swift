import Foundation
import Support
import TestSupport

/// `vmopsctl` on a pseudo terminal, whose keys a test presses.
struct TerminalProcess: Sendable {
    private let process: LineProcess

    /// Runs `vmopsctl` around `body`; hangs up afterwards if it has not ended.
    static func run(
        _ arguments: [String],
        _ body: @escaping @Sendable (inout TerminalProcess) async throws -> Void
    ) async throws {
        let script = Checkout.peers.appending(path: "terminal.py").path
        try await LineProcess.run(Checkout.python, [script, Checkout.program("vmopsctl")] + arguments) { process in
            var terminal = TerminalProcess(process: process)
            try await body(&terminal)
        }
    }

    /// All that was shown, without carriage returns.
    private(set) var shown = ""

    private init(process: LineProcess) { self.process = process }

    func type(_ text: String) async throws { try await process.send(Base64.encode(Array(text.utf8))) }

    /// Waits until `text` was shown, since the beginning or the last ``forget()``.
    mutating func expect(_ text: String) async throws {
        while !shown.contains(text) {
            if try await step() != nil { throw ConditionNotMet(description: "\(text) was not shown: \(shown)") }
        }
    }

    mutating func forget() { shown = "" }

    /// Waits for the end of the program: its exit status, and whether the terminal was left as it was.
    mutating func end() async throws -> (status: Int, isRestored: Bool) {
        while true {
            if let end = try await step() { return end }
        }
    }

    /// Takes one line; not `nil` for the last one.
    private mutating func step() async throws -> (status: Int, isRestored: Bool)? {
        let words = try await process.readLine().split(separator: " ")
        switch (words.first, words.count) {
        case ("shown", 2):
            let bytes = Base64.decode(String(words[1])) ?? []
            shown += String(decoding: bytes.filter { $0 != UInt8(ascii: "\r") }, as: UTF8.self)
            return nil
        case ("ended", 3):
            return (Int(words[1]) ?? -1, words[2] == "1")
        default:
            throw ConditionNotMet(description: "unexpected line \(words)")
        }
    }
}
