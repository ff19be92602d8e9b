import ControlClient
import Synchronization

/// Draws the bar on a terminal, else writes lines; to standard error, because neither is the result.
final class MigrationOutput: Sendable {
    private struct State {
        var display: MigrationDisplay?
        var isDrawn = false
    }

    private let isQuiet: Bool
    private let state = Mutex(State())

    init(isQuiet: Bool) { self.isQuiet = isQuiet }

    func show(_ source: Instance, _ migration: MigrationState, _ destination: String) {
        guard !isQuiet else { return }
        state.withLock { state in
            var display =
                state.display
                ?? MigrationDisplay(name: source.name, source: source.host, destination: destination)
            if Terminal.isError {
                Terminal.draw("\r" + display.bar(migration, columns: Terminal.columns) + "\u{1B}[K")
                state.isDrawn = true
            } else if let line = display.line(migration) {
                Terminal.complain(line)
            }
            state.display = display
        }
    }

    func end() {
        state.withLock { state in
            if state.isDrawn { Terminal.draw("\r\u{1B}[K") }
            state.isDrawn = false
        }
    }
}
