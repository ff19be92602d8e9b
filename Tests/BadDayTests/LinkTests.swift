import DaemonBench
import Foundation
import OsloMessaging
import Support
import TestSupport
import Testing

/// A network between two hosts on which nothing gets through any more, and nobody is told.
@Suite(.enabled(if: NetworkNamespace.isAvailable && PrivateBroker.isAvailable), .timeLimit(.minutes(5)))
struct LinkTests {
    /// Before, in and after the copy, and in the moment in between in which the machine stands still. Each time it ends
    /// up at one host, with its whole log, and moves as if nothing had been as soon as the link is mended.
    @Test func theLinkIsCutAtEachStep() async throws {
        try await NetworkNamespace.run { network in
            let listener = ["listeners.tcp.9": "\(network.outside):5672"]
            try await PrivateBroker.run(configuration: listener) { broker in
                try await broker.evaluate("application:set_env(rabbit, loopback_users, [])")
                try await MigrationBench.run(network, broker) { bench in
                    let instance = try await bench.spawn()
                    // Before anything is begun.
                    try await network.cut()
                    #expect(try await bench.migrationFailure(instance) == "MigrationPreCheckError")
                    #expect(try await bench.state(instance, on: "host-a") == "running")
                    try await network.mend()
                    try await bench.expectOnly(instance, at: "host-a")
                    // In the copy, and when all is copied and the machine is about to stop.
                    for remaining in [false, true] {
                        async let outcome = bench.migrationFailure(instance)
                        try await bench.untilCopying(instance, all: remaining)
                        try await network.cut()
                        #expect(try await outcome == "MigrationError")
                        #expect(try await bench.state(instance, on: "host-a") == "running")
                        try await network.mend()
                        try await bench.expectOnly(instance, at: "host-a")
                    }
                    // When it has left.
                    async let outcome = bench.migrate(instance)
                    try await eventually("the machine has left") {
                        let path = bench.source.daemon.statePath + "/host-a/simulated/machines/\(instance.uuid).json"
                        let record = FileManager.default.contents(atPath: path)
                        return String(decoding: record ?? Data(), as: UTF8.self).contains(#""departed""#)
                    }
                    try await network.cut()
                    let info = try await outcome
                    #expect(info["host"] == "host-b" && info["state"] == "migrating-in")
                    #expect(try await bench.state(instance, on: "host-a") == nil)
                    try await network.mend()
                    try await bench.expectOnly(instance, at: "host-b")
                }
            }
        }
    }

    /// The same for a machine that is turned off for the move: before anything, in the copy of its disks, and when it is
    /// the destination's already.
    @Test func theLinkIsCutAtEachStepOfAColdMigration() async throws {
        try await NetworkNamespace.run { network in
            let listener = ["listeners.tcp.9": "\(network.outside):5672"]
            try await PrivateBroker.run(configuration: listener) { broker in
                try await broker.evaluate("application:set_env(rabbit, loopback_users, [])")
                let slow = ["migration": ["bandwidth": "4000000"], "simulated": ["delay_delete_machine_ms": "2000"]]
                try await MigrationBench.run(network, broker, slow) { bench in
                    let instance = try await bench.spawn()
                    try await bench.mark(instance, on: "host-a", megabytes: 12)
                    try await network.cut()
                    #expect(try await bench.coldFailure(instance) == "MigrationPreCheckError")
                    #expect(try await bench.state(instance, on: "host-a") == "running")
                    try await network.mend()
                    try await bench.expectOnlyMachine(instance, at: "host-a", boots: 1)
                    // In the copy: it runs here again, as far as one can see without the other host.
                    async let failure = bench.coldFailure(instance)
                    try await bench.untilDisksAreCopied(instance)
                    try await network.cut()
                    #expect(["MigrationError", "HypervisorUnavailable"].contains(try await failure))
                    #expect(try await bench.state(instance, on: "host-a") == "running")
                    try await network.mend()
                    try await bench.expectOnlyMachine(instance, at: "host-a")
                    try await eventually("nothing left on host-b") { bench.files(instance, on: "host-b") == [] }
                    // When it has left.
                    async let outcome = bench.moveCold(instance)
                    try await eventually(timeout: .seconds(120), "the instance has left") {
                        try await bench.state(instance, on: "host-a") == nil
                    }
                    try await network.cut()
                    #expect(try await outcome["host"] == "host-b")
                    #expect(try await bench.state(instance, on: "host-a") == nil)
                    try await network.mend()
                    try await bench.expectOnlyMachine(instance, at: "host-b")
                    #expect(try await bench.isMarked(instance, on: "host-b", megabytes: 12))
                    try await bench.source.call("confirm_resize", instance.reference, on: "host-b")
                    try await eventually("nothing left on host-a") { bench.files(instance, on: "host-a") == [] }
                }
            }
        }
    }
}

extension MigrationBench {
    /// `host-b` behind a network of its own. Each step lasts long enough to cut it.
    fileprivate static func run(
        _ network: NetworkNamespace,
        _ broker: PrivateBroker,
        _ more: [String: [String: String]] = [:],
        _ body: @escaping @Sendable (MigrationBench) async throws -> Void
    ) async throws {
        var options = [
            "migration": ["address": network.outside],
            "simulated": [
                "migration_ms": "2000", "delay_migrate_switchover_ms": "2000",
                "delay_migrate_completed_ms": "2000",
            ],
        ]
        for (group, values) in more { options[group, default: [:]].merge(values) { $1 } }
        let source = settings("host-a", options, broker.url)
        var destination = settings(
            "host-b",
            ["migration": ["address": network.inside]],
            "rabbit://guest:guest@\(network.outside):5672/"
        )
        destination.command = network.command(Checkout.program("vmopsd"))
        try await Bench.run(source) { [destination] bench in
            try await DaemonProcess.run(destination) { daemon in
                try await body(MigrationBench(source: bench, destination: daemon))
            }
        }
    }

    /// Waits until memory is being copied, or all of it is.
    fileprivate func untilCopying(_ instance: TestInstance, all: Bool) async throws {
        try await eventually("a migration in its copy") {
            let progress = try await source.call("get_info", instance.reference)["migration"]
            guard progress?["phase"] == "precopy" else { return false }
            guard all else { return progress?["transferred_bytes"]?.intValue ?? 0 > 0 }
            // Less than a block: tenths of the memory are told.
            return progress?["remaining_bytes"]?.intValue ?? .max < 100
        }
    }
}
