import DaemonBench
import Foundation
import Synchronization
import TestSupport

/// What a run with many hosts has to tell, as the tables of `docs/scale.md`. Every line has the load average: the times
/// of a machine that others use too say little, processor time says more.
final class FleetReport: Sendable {
    private struct State {
        var sizes: [String] = []
        var times: [String] = []
        var phaseStart = ContinuousClock.now
    }

    private let broker: PrivateBroker
    private let state = Mutex(State())

    init(_ broker: PrivateBroker) { self.broker = broker }

    /// When the phase that is being timed began.
    var phaseStart: ContinuousClock.Instant { state.withLock { $0.phaseStart } }

    /// The machine's load in the last minute.
    static var load: String {
        let text = (try? String(contentsOfFile: "/proc/loadavg", encoding: .utf8)) ?? "?"
        return text.split(separator: " ").first.map(String.init) ?? "?"
    }

    /// Notes what broker and workers have and need now.
    func measured(_ moment: String, _ fleet: Fleet?) async throws {
        let figures = try await BrokerFigures(broker)
        let workers = try fleet?.processes() ?? []
        let line = """
            | \(moment) | \(figures.queues) | \(figures.connections) | \(figures.channels) | \(figures.consumers) | \
            \(figures.allocatedKiB >> 10) MiB | \(figures.process.residentKiB >> 10) MiB | \
            \(workers.map { "\($0.residentKiB >> 10)" }.joined(separator: " + ")) MiB | \
            \(workers.map { "\($0.descriptors)" }.joined(separator: " + ")) | \(Self.load) |
            """
        state.withLock { $0.sizes.append(line) }
        Swift.print(line)
    }

    /// Notes a time that somebody else measured.
    func took(_ what: String, _ time: Duration) {
        add("| \(what) | | \(Self.seconds(time)) | | | | \(Self.load) |")
    }

    /// Times something that is done `count` times over, and the processor time that it takes.
    func timing(_ what: String, count: Int, _ fleet: Fleet? = nil, _ body: () async throws -> Void) async throws {
        let before = try BrokerFigures.process(broker).processorSeconds
        let workersBefore = try fleet?.processes().map(\.processorSeconds).reduce(0, +)
        let start = ContinuousClock.now
        state.withLock { $0.phaseStart = start }
        try await body()
        let time = ContinuousClock.now - start
        let used = try BrokerFigures.process(broker).processorSeconds - before
        var workers = ""
        if let fleet, let workersBefore {
            let now = try fleet.processes().map(\.processorSeconds).reduce(0, +)
            workers = Self.seconds(.seconds(now - workersBefore))
        }
        let rate = Int(Double(count) / (time / .seconds(1)))
        add(
            """
            | \(what) | \(count) | \(Self.seconds(time)) | \(rate)/s | \(Self.seconds(.seconds(used))) | \(workers) | \
            \(Self.load) |
            """
        )
    }

    private func add(_ line: String) {
        state.withLock { $0.times.append(line) }
        Swift.print(line)
    }

    private static func seconds(_ time: Duration) -> String {
        String(format: "%.2f s", time / .seconds(1))
    }

    func print(build: String) {
        let state = state.withLock { $0 }
        Swift.print(
            """
            workers: \(build)
            | | queues | connections | channels | consumers | broker allocated | broker RSS | workers' RSS | \
            workers' descriptors | load |
            |---|---|---|---|---|---|---|---|---|---|
            \(state.sizes.joined(separator: "\n"))

            | | count | time | rate | broker CPU | workers' CPU | load |
            |---|---|---|---|---|---|---|
            \(state.times.joined(separator: "\n"))
            """
        )
    }
}
