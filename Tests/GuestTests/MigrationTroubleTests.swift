import DaemonBench
import Foundation
import Glibc
import OsloMessaging
import Subprocess
import Support
import TestSupport
import Testing

/// What can go wrong while a real machine moves. Afterwards it runs at exactly one host, its log is whole, the other host
/// has nothing of it, and a repetition works.
@Suite(.enabled(if: GuestBench.isPossible, Comment(rawValue: GuestBench.missing)), .timeLimit(.minutes(10)))
struct MigrationTroubleTests {
    @Test func theWaitingQEMUIsKilled() async throws {
        try await GuestMigration.run(source: GuestMigration.slow) { hosts in
            let instance = try await hosts.spawn()
            try await hosts.type("d8\n", instance, on: "host-a")
            let process = try #require(try QEMU.processes(uuid: instance.uuid).first)
            async let outcome = hosts.failure(instance)
            try await hosts.inTheCopy(instance)
            for other in try QEMU.processes(uuid: instance.uuid) where other != process { Glibc.kill(other, SIGKILL) }
            #expect(try await outcome == "MigrationError")
            try await hosts.expectOnly(instance, at: "host-a")
            try await hosts.repeats(instance)
        }
    }

    @Test func theWaitingQEMUFallsSilent() async throws {
        try await GuestMigration.run(source: GuestMigration.slow) { hosts in
            let instance = try await hosts.spawn()
            try await hosts.type("d8\n", instance, on: "host-a")
            let process = try #require(try QEMU.processes(uuid: instance.uuid).first)
            async let outcome = hosts.failure(instance)
            try await hosts.inTheCopy(instance)
            for other in try QEMU.processes(uuid: instance.uuid) where other != process { Glibc.kill(other, SIGSTOP) }
            #expect(try await outcome == "MigrationError")
            try await hosts.expectOnly(instance, at: "host-a")
            try await hosts.repeats(instance)
        }
    }

    /// The worker is gone in the middle of the copy, and the next one carries the request to its end.
    @Test func theSourceIsKilledInTheCopy() async throws {
        try await GuestMigration.run(source: GuestMigration.slow) { hosts in
            let instance = try await hosts.spawn()
            try await hosts.type("d8\n", instance, on: "host-a")
            async let outcome = hosts.migrate(instance, timeout: .seconds(90))
            try await hosts.inTheCopy(instance)
            try await hosts.bench.daemon.kill()
            try await hosts.change("host-a", [:], insteadOf: GuestMigration.slow["migration"] ?? [:])
            #expect(try await outcome["host"] == "host-b")
            try await hosts.expectOnly(instance, at: "host-b")
        }
    }

    /// At any moment of a move: whatever had been reached, the machine is moved in the end.
    @Test func theSourceIsKilledAgainAndAgain() async throws {
        try await GuestMigration.run { hosts in
            let instance = try await hosts.spawn()
            // Less than the MiB that a log, and an answer with it, has room for: it is read from its first line on.
            try await hosts.type("b3c00\n", instance, on: "host-a")
            for (round, delay) in [15, 60, 120, 180, 250, 330].enumerated() {
                let (here, there) = round.isMultiple(of: 2) ? ("host-a", "host-b") : ("host-b", "host-a")
                async let outcome = hosts.migrate(instance, from: here, timeout: .seconds(90))
                // The moment is meant to be any.
                try await Task.sleep(for: .milliseconds(delay))
                try await hosts.daemon(here).kill()
                try await hosts.daemon(here).start()
                #expect(try await outcome["host"]?.stringValue == there)
                try await hosts.expectOnly(instance, at: there)
            }
        }
    }

    /// The machine is given away, and whom it was given to does not hear of it yet.
    @Test(arguments: ["destination", "source", "both"])
    func whenTheMachineHasLeft(dies who: String) async throws {
        try await GuestMigration.run(source: GuestMigration.slow) { hosts in
            let instance = try await hosts.spawn()
            try await hosts.type("t1\nd8\n", instance, on: "host-a")
            async let outcome = hosts.migrate(instance, timeout: .seconds(90))
            try await hosts.inTheCopy(instance)
            try hosts.destination.signal(.suspend)
            try await hosts.type("d0\n", instance, on: "host-a")
            try await eventually(timeout: .seconds(30), "the machine has left") {
                let record = FileManager.default.contents(
                    atPath: hosts.bench.daemon.statePath + "/host-a/qemu/\(instance.uuid)/machine.json"
                )
                return String(decoding: record ?? Data(), as: UTF8.self).contains("\"departed\"")
            }
            if who != "source" {
                try await hosts.destination.kill()
            }
            if who != "destination" {
                try await hosts.bench.daemon.kill()
                if who == "source" { try hosts.destination.signal(.resume) }
                try await hosts.bench.daemon.start()
            }
            if who != "source" { try await hosts.destination.start() }
            #expect(try await outcome["host"] == "host-b")
            try await hosts.expectOnly(instance, at: "host-b")
        }
    }

    @Test func theDestinationsWorkerIsKilledInTheCopy() async throws {
        try await GuestMigration.run(source: GuestMigration.slow) { hosts in
            let instance = try await hosts.spawn()
            try await hosts.type("d8\n", instance, on: "host-a")
            async let outcome = hosts.migrate(instance, timeout: .seconds(90))
            try await hosts.inTheCopy(instance)
            try await hosts.destination.kill()
            // Its QEMU goes on taking the machine.
            try await hosts.type("d0\n", instance, on: "host-a")
            #expect(try await outcome["host"] == "host-b")
            try await hosts.destination.start()
            try await hosts.expectOnly(instance, at: "host-b")
        }
    }

    // MARK: - The link

    /// Nothing gets through any more, and nobody is told.
    @Test(.enabled(if: NetworkNamespace.isAvailable && PrivateBroker.isAvailable), arguments: ["copy", "end"])
    func theLinkIsCut(inThe place: String) async throws {
        try await NetworkNamespace.run { network in
            let listener = ["listeners.tcp.9": "\(network.outside):5672"]
            try await PrivateBroker.run(configuration: listener) { broker in
                try await broker.evaluate("application:set_env(rabbit, loopback_users, [])")
                try await GuestMigration.run(network, broker) { hosts in
                    let instance = try await hosts.spawn()
                    try await hosts.type("d8\n", instance, on: "host-a")
                    async let outcome = hosts.failure(instance)
                    if place == "copy" {
                        try await hosts.inTheCopy(instance)
                        try await network.cut()
                        #expect(try await outcome == "MigrationError")
                        #expect(try await hosts.state(instance, on: "host-a") == "running")
                        // Before anything was begun.
                        #expect(try await hosts.failure(instance) == "MigrationPreCheckError")
                        try await network.mend()
                        try await hosts.expectOnly(instance, at: "host-a")
                        try await hosts.repeats(instance)
                    } else {
                        try await hosts.inTheCopy(instance)
                        try hosts.destination.signal(.suspend)
                        try await hosts.type("d0\n", instance, on: "host-a")
                        try await eventually(timeout: .seconds(30), "the machine has left") {
                            try await hosts.state(instance, on: "host-a") == nil
                        }
                        try await network.cut()
                        try hosts.destination.signal(.resume)
                        #expect(try await outcome == nil)
                        try await network.mend()
                        try await hosts.expectOnly(instance, at: "host-b")
                    }
                }
            }
        }
    }
}

extension GuestMigration {
    /// A repetition finds nothing in its way. The source is given all of the bandwidth for it.
    fileprivate func repeats(_ instance: TestInstance) async throws {
        try await change("host-a", [:], insteadOf: Self.slow["migration"] ?? [:])
        try await migrate(instance)
        try await expectOnly(instance, at: "host-b")
    }
}
