import Foundation
import Subprocess
import Synchronization

extension DaemonProcess {
    /// One process from its start to its end.
    final class Life: Sendable {
        private struct State {
            var process: LineProcess?
            var ending: String?
        }

        private let program: String
        private let arguments: [String]
        private let environment: [String: String?]
        private let state = Mutex(State())

        init(program: String, arguments: [String], environment: [String: String?]) {
            self.program = program
            self.arguments = arguments
            self.environment = environment
        }

        /// Runs the process to its end; one that lives on when this task is cancelled is ended with SIGTERM.
        func run() async {
            var ending = "0"
            do {
                try await LineProcess.run(program, arguments, environment: environment) { process in
                    state.withLock { $0.process = process }
                    // It prints nothing: the wait is for the end of its output.
                    while true {
                        do {
                            _ = try await process.readLine(timeout: .seconds(86_400))
                        } catch is CommandFailure {
                            return
                        }
                    }
                }
            } catch let failure as CommandFailure {
                ending = failure.status
            } catch {
                ending = "\(error)"
            }
            state.withLock { $0.ending = ending }
        }

        var hasEnded: Bool { state.withLock { $0.ending != nil } }

        /// The exit status as text: `0`, or what the failure was.
        var ending: String { state.withLock { $0.ending ?? "still running" } }

        var lines: [String] {
            (state.withLock { $0.process }?.standardError ?? "").split(separator: "\n").map(String.init)
        }

        var processIdentifier: Int32? { state.withLock { $0.process }?.processIdentifier }

        func signal(_ signal: Signal) throws {
            guard let process = state.withLock({ $0.process }) else {
                throw ConditionNotMet(description: "vmopsd has not started")
            }
            try process.signal(signal)
        }

        func untilStarted() async throws {
            try await eventually("the start of vmopsd") {
                if hasEnded { throw ConditionNotMet(description: "vmopsd did not start: \(ending)") }
                return state.withLock { $0.process != nil }
            }
        }

        func untilEnded() async throws {
            try await eventually(timeout: .seconds(90), "the end of vmopsd") { hasEnded }
        }
    }
}
