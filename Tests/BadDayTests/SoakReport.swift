import DaemonBench
import Synchronization

/// What a soak has to tell, as the table of `docs/reliability.md`.
final class SoakReport: Sendable {
    private struct State {
        var samples: [ProcessFigures] = []
        var counts: [(name: String, counts: TrafficCounts)] = []
        var slowestStart = Duration.zero
    }

    private let state = Mutex(State())
    private let start = ContinuousClock.now

    var samples: [ProcessFigures] { state.withLock { $0.samples } }

    func killed(_ served: Duration) {
        state.withLock { $0.slowestStart = max($0.slowestStart, served) }
    }

    func sampled(_ figures: ProcessFigures) {
        let number = state.withLock { state in
            state.samples.append(figures)
            return state.samples.count
        }
        Swift.print("sample \(number) at \(ContinuousClock.now - start): \(figures)")
    }

    /// Adds what a daemon went through to what others of the name did.
    func ended(_ name: String, _ counts: TrafficCounts) {
        state.withLock { state in
            if let place = state.counts.firstIndex(where: { $0.name == name }) {
                state.counts[place].counts += counts
            } else {
                state.counts.append((name, counts))
            }
        }
        Swift.print("\(name): \(counts)")
    }

    func print() {
        let state = state.withLock { $0 }
        Swift.print(
            """
            | daemon | kills | other faults | changes sent | calls, answered | without answer | lost | doubled |
            |---|---|---|---|---|---|---|---|
            """
        )
        for (name, counts) in state.counts {
            let columns = [
                name, "\(counts.kills)", "\(counts.faults.count)", "\(counts.changes)",
                "\(counts.calls), \(counts.answered)", "\(counts.unanswered)", "\(counts.lost)", "\(counts.doubled)",
            ]
            Swift.print("| \(columns.joined(separator: " | ")) |")
        }
        guard let first = state.samples.first, let last = state.samples.last else { return }
        let most = state.samples.map(\.residentKiB).max() ?? 0
        let rows = [
            ("minutes", "\((ContinuousClock.now - start).components.seconds / 60)"),
            ("longest from a start until all hosts answered", "\(state.slowestStart)"),
            ("RSS of the daemon that was never killed: first, last, most", Self.mebibytes(first, last, most)),
            ("its descriptors: first, last", "\(first.descriptors), \(last.descriptors)"),
            ("its threads: first, last", "\(first.threads), \(last.threads)"),
        ]
        Swift.print("| soak | |\n|---|---|")
        for row in rows { Swift.print("| \(row.0) | \(row.1) |") }
    }

    private static func mebibytes(_ first: ProcessFigures, _ last: ProcessFigures, _ most: Int) -> String {
        "\(first.residentKiB >> 10), \(last.residentKiB >> 10), \(most >> 10) MiB"
    }
}
