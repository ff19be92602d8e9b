import DaemonBench
import Foundation
import Support
import Synchronization
import TestSupport
import Testing

extension Traffic {
    /// Kills the daemon `count` times at random moments, looks at what it left, and starts it again.
    ///
    /// - Parameter pause: milliseconds between a start and the next kill.
    func kill(_ count: Int, after pause: ClosedRange<Int>) async throws {
        var worst = Duration.zero
        for round in 1...max(1, count) {
            // The moment is meant to be any.
            try await Task.sleep(for: .milliseconds(Int.random(in: pause)))
            let served = try await killOnce()
            worst = max(worst, served)
            if round % 20 == 0 { print("\(round) kills; \(counts)") }
        }
        print("\(count) kills: all hosts answered at the latest \(worst) after the start")
    }

    /// - Returns: how long after its start the daemon answered for all hosts.
    @discardableResult
    func killOnce() async throws -> Duration {
        try await bench.daemon.kill()
        state.withLock { state in
            state.generation += 1
            state.counts.kills += 1
        }
        try await checkRemains()
        let start = ContinuousClock.now
        try await bench.daemon.start()
        state.withLock { $0.generation += 1 }
        try await untilServed(after: "a kill")
        return .now - start
    }

    /// What a killed worker leaves: journals that are whole, each machine in one place.
    private func checkRemains() async throws {
        let journals = try await JournalEvidence.read(bench.daemon.statePath, settings.hosts)
        var reboots = 0
        for (host, journal) in journals {
            #expect(journal.verdict == "ok", "\(host)")
            reboots += journal.unfinished.count { $0.started && $0.method == "reboot" }
        }
        state.withLock { $0.counts.uncertainReboots += reboots }
        guard settings.backend == .simulated else { return }
        for (uuid, machines) in try Evidence(bench.daemon.statePath).machines(settings.hosts) {
            let owners = machines.filter { ["realized", "arrived"].contains($0.phase) }
            #expect(owners.count <= 1, "\(uuid) is on \(owners)")
        }
    }
}
