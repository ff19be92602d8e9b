import DaemonBench
import Foundation
import OsloMessaging
import RPCClient
import Subprocess
import Support
import TestSupport
import Testing

/// Live migration between two processes, with everything that can go wrong on the way. However it ends, the machine
/// runs at exactly one of the two hosts, and the other has nothing left of it.
@Suite(.enabled(if: TestBroker.isAvailable, Comment(rawValue: TestBroker.missing)), .timeLimit(.minutes(20)))
struct LiveMigrationTests {
    @Test func aMachineMovesThereAndBackWithItsLog() async throws {
        try await MigrationBench.run { bench in
            let instance = try await bench.spawn()
            let info = try await bench.migrate(instance)
            #expect(info["host"] == "host-b")
            #expect(info["state"] == "running")
            try await bench.expectOnly(instance, at: "host-b")
            _ = try await bench.source.call(
                "live_migration",
                instance.reference.merging("dest", "host-a"),
                on: "host-b"
            )
            try await bench.expectOnly(instance, at: "host-a")
            try await bench.source.call("destroy", instance.reference, on: "host-a")
            #expect(bench.files(instance, on: "host-a") == [])
        }
    }

    @Test func aFollowerOfTheConsoleGoesOn() async throws {
        try await MigrationBench.run { bench in
            let instance = try await bench.spawn()
            let arguments = ["--url", bench.source.daemon.url, "console", instance.name, "--follow"]
            try await LineProcess.run(Checkout.program("vmopsctl"), arguments) { reader in
                var next = 1
                func read(_ count: Int) async throws {
                    let end = next + count
                    while next < end {
                        let line = try await reader.readLine()
                        guard line.hasPrefix("line ") else { continue }
                        #expect(line == "line \(next)")
                        next += 1
                    }
                }
                try await read(20)
                _ = try await bench.migrate(instance)
                try await read(200)
            }
        }
    }

    @Test func destinationsThatRefuseOrAreNotThereChangeNothing() async throws {
        try await MigrationBench.run(destination: ["simulated": ["memory_mb": "32"]]) { bench in
            let instance = try await bench.spawn()
            #expect(try await bench.migrationFailure(instance) == "MigrationPreCheckError")
            await #expect(throws: RemoteFailure.self) {
                try await bench.source.call("live_migration", instance.reference.merging("dest", "nowhere"))
            }
            try await bench.destination.kill()
            #expect(try await bench.migrationFailure(instance) == "MigrationPreCheckError")
            #expect(try await bench.state(instance, on: "host-a") == "running")
            try await bench.restart("host-b", without: ["memory_mb"])
            _ = try await bench.migrate(instance)
            try await bench.expectOnly(instance, at: "host-b")
        }
    }

    @Test func anAbortLeavesTheMachineHere() async throws {
        try await MigrationBench.run(source: ["simulated": ["migration_ms": "60000"]]) { bench in
            let instance = try await bench.spawn()
            async let outcome = bench.migrationFailure(instance)
            try await eventually("a migration that reports its progress") {
                let info = try await bench.source.call("get_info", instance.reference)
                return info["migration"]?["phase"] == "precopy"
            }
            #expect(try await bench.state(instance, on: "host-b") == "migrating-in")
            try await bench.source.call("abort_live_migration", instance.reference)
            #expect(try await outcome == "MigrationError")
            try await bench.expectOnly(instance, at: "host-a")
        }
    }

    // MARK: One of the two dies

    /// The source dies at a step, once; started again it carries the request to its end, and the caller hears of it.
    @Test(arguments: [
        "check_outgoing", "migrate_setup", "migrate_precopy", "migrate_switchover", "migrate_handover",
        "migrate_completed", "finish_outgoing", "finish_outgoing after",
    ])
    func theSourceDies(at step: String) async throws {
        let words = step.split(separator: " ")
        let fault = "fault_\(words[0])"
        let rule = "nth:1 crash" + (words.count > 1 ? " after" : "")
        try await MigrationBench.run(source: ["simulated": [fault: rule]]) { bench in
            let instance = try await bench.spawn()
            async let outcome = bench.migrate(instance, timeout: .seconds(90))
            _ = try await bench.source.daemon.untilEnded()
            try await bench.restart("host-a", without: [fault])
            #expect(try await outcome["host"] == "host-b")
            try await bench.expectOnly(instance, at: "host-b", hasGap: true)
        }
    }

    /// The destination dies before the machine is its own: the machine stays, and a repetition succeeds.
    @Test(arguments: ["check_incoming", "prepare_incoming", "prepare_incoming after"])
    func theDestinationDies(at step: String) async throws {
        let words = step.split(separator: " ")
        let fault = "fault_\(words[0])"
        let rule = "nth:1 crash" + (words.count > 1 ? " after" : "")
        try await MigrationBench.run(destination: ["simulated": [fault: rule]]) { bench in
            let instance = try await bench.spawn()
            let failure = try await bench.migrationFailure(instance)
            #expect(["MigrationError", "MigrationPreCheckError"].contains(failure))
            #expect(try await bench.state(instance, on: "host-a") == "running")
            try await bench.restart("host-b", without: [fault])
            try await bench.expectOnly(instance, at: "host-a")
            _ = try await bench.migrate(instance)
            try await bench.expectOnly(instance, at: "host-b")
        }
    }

    /// The machine belongs to the destination already, and runs there as soon as it is back.
    @Test(arguments: ["nth:1 crash", "nth:1 crash after"])
    func theDestinationDiesWhenTheMachineIsItsOwn(_ rule: String) async throws {
        try await MigrationBench.run(destination: ["simulated": ["fault_finish_incoming": rule]]) { bench in
            let instance = try await bench.spawn()
            let info = try await bench.migrate(instance)
            #expect(info["host"] == "host-b")
            try await bench.restart("host-b", without: ["fault_finish_incoming"])
            try await bench.expectOnly(instance, at: "host-b", hasGap: true)
        }
    }

    @Test func theDestinationDiesInTheMiddleOfTheCopy() async throws {
        try await MigrationBench.run(source: ["simulated": ["migration_ms": "4000"]]) { bench in
            let instance = try await bench.spawn()
            async let outcome = bench.migrationFailure(instance)
            try await bench.inTheCopy(instance)
            try await bench.destination.kill()
            #expect(try await outcome == "MigrationError")
            #expect(try await bench.state(instance, on: "host-a") == "running")
            try await bench.restart("host-b", without: [])
            try await bench.expectOnly(instance, at: "host-a")
        }
    }

    /// As a link that drops everything: the other side is there and says nothing.
    @Test func theDestinationFallsSilentInTheMiddleOfTheCopy() async throws {
        try await MigrationBench.run(source: ["simulated": ["migration_ms": "3000"]]) { bench in
            let instance = try await bench.spawn()
            async let outcome = bench.migrationFailure(instance)
            try await bench.inTheCopy(instance)
            try bench.destination.signal(.suspend)
            let failure = try await outcome
            try bench.destination.signal(.resume)
            #expect(failure == "MigrationError")
            try await bench.expectOnly(instance, at: "host-a")
            _ = try await bench.migrate(instance)
            try await bench.expectOnly(instance, at: "host-b")
        }
    }

    @Test(arguments: ["migrate_precopy", "migrate_handover", "migrate_completed"])
    func bothDie(at step: String) async throws {
        try await MigrationBench.run(source: ["simulated": ["fault_\(step)": "nth:1 crash"]]) { bench in
            let instance = try await bench.spawn()
            async let outcome = bench.migrate(instance, timeout: .seconds(90))
            _ = try await bench.source.daemon.untilEnded()
            try await bench.destination.kill()
            try await bench.restart("host-a", without: ["fault_\(step)"])
            try await bench.restart("host-b", without: [])
            let moved = try? await outcome
            let place = moved?["host"]?.stringValue ?? "host-a"
            try await bench.expectOnly(instance, at: place, hasGap: true)
            if place == "host-a" {
                _ = try await bench.migrate(instance)
                try await bench.expectOnly(instance, at: "host-b", hasGap: true)
            }
        }
    }

    // MARK: The broker

    @Test(.enabled(if: PrivateBroker.isAvailable))
    func theBrokerIsRestartedInTheMiddle() async throws {
        try await PrivateBroker.run { broker in
            let slow = ["simulated": ["migration_ms": "3000"], "migration": ["peer_timeout": "20"]]
            try await MigrationBench.run(source: slow, url: broker.url) { bench in
                let instance = try await bench.spawn()
                async let outcome = bench.migrate(instance)
                try await bench.inTheCopy(instance)
                try await broker.restart()
                #expect(try await outcome["host"] == "host-b")
                try await bench.expectOnly(instance, at: "host-b")
            }
        }
    }

    // MARK: Gone for good

    @Test func anOperatorTakesBackWhatWentToAHostThatIsGone() async throws {
        try await MigrationBench.run(destination: ["simulated": ["fault_finish_incoming": "always crash"]]) { bench in
            let instance = try await bench.spawn()
            _ = try await bench.migrate(instance)
            #expect(try await bench.state(instance, on: "host-a") == nil)
            let info = try await bench.source.call(
                "give_up_live_migration",
                instance.reference.merging("run_here", true),
                on: "host-a"
            )
            #expect(info["state"] == "running")
            // Should it come back, it asks, and removes what it had.
            try await bench.restart("host-b", without: ["fault_finish_incoming"])
            try await bench.expectOnly(instance, at: "host-a")
        }
    }
}

extension MigrationBench {
    /// Waits until memory is being copied.
    fileprivate func inTheCopy(_ instance: TestInstance) async throws {
        try await eventually("a migration in its copy") {
            let info = try await source.call("get_info", instance.reference)
            return info["migration"]?["phase"] == "precopy"
                && info["migration"]?["transferred_bytes"]?.intValue ?? 0 > 0
        }
    }
}
