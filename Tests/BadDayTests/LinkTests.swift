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
}

extension MigrationBench {
    /// `host-b` behind a network of its own. Each step lasts long enough to cut it.
    fileprivate static func run(
        _ network: NetworkNamespace,
        _ broker: PrivateBroker,
        _ body: @escaping @Sendable (MigrationBench) async throws -> Void
    ) async throws {
        let source = settings(
            "host-a",
            [
                "migration": ["address": network.outside],
                "simulated": [
                    "migration_ms": "2000", "delay_migrate_switchover_ms": "2000",
                    "delay_migrate_completed_ms": "2000",
                ],
            ],
            broker.url
        )
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
