import DaemonBench
import Foundation
import OsloMessaging
import Support
import TestSupport
import Testing

/// Machines and disks go between hosts that know each other by certificates, and to nobody else; whoever is sent away
/// changes nothing about the machine.
@Suite(.enabled(if: TestBroker.isAvailable, Comment(rawValue: TestBroker.missing)), .timeLimit(.minutes(5)))
struct MigrationTLSTests {
    @Test func machinesAndDisksGoToHostsThatAreKnown() async throws {
        try await withTemporaryDirectory { directory in
            // The destination's certificate is for another address: it counts by its name.
            try await HostCertificates.make(["host-a"], in: directory + "/hosts")
            try await HostCertificates.make(["host-a"], in: directory + "/others")
            try await HostCertificates.add("host-b", address: "192.0.2.1", in: directory + "/hosts")
            let source = HostCertificates.options("host-a", in: directory + "/hosts")
            let unnamed = HostCertificates.options("host-b", in: directory + "/hosts")
            let named = unnamed.merging(["tls_name": "host-b"]) { $1 }
            let strangers = HostCertificates.options("host-a", in: directory + "/others")
            try await MigrationBench.run(
                source: ["migration": strangers],
                destination: ["migration": named]
            ) { bench in
                let instance = try await bench.spawn()
                // Of another authority.
                #expect(try await bench.migrationFailure(instance) == "MigrationError")
                #expect(try await bench.coldFailure(instance) == "MigrationError")
                try await bench.expectOnlyMachine(instance, at: "host-a")
                // Without encryption: nothing is begun, and the machine is not even turned off.
                try await bench.change("host-a", [:], insteadOf: strangers)
                let boots = try await bench.boots(instance, on: "host-a")
                #expect(try await bench.migrationFailure(instance) == "MigrationPreCheckError")
                #expect(try await bench.coldFailure(instance) == "MigrationPreCheckError")
                #expect(try await bench.boots(instance, on: "host-a") == boots)
                // The destination does not say what its certificate is for.
                try await bench.change("host-a", source, insteadOf: [:])
                try await bench.change("host-b", unnamed, insteadOf: named)
                #expect(try await bench.migrationFailure(instance) == "MigrationError")
                try await bench.expectOnlyMachine(instance, at: "host-a")
                try await bench.change("host-b", named, insteadOf: unnamed)
                _ = try await bench.migrate(instance)
                try await bench.expectOnlyMachine(instance, at: "host-b")
                // And back with its disks.
                try await bench.mark(instance, on: "host-b", megabytes: 2)
                let args = instance.reference.merging("dest", "host-a")
                let back = try await bench.source.call("resize_instance", args, on: "host-b")
                #expect(back["host"] == "host-a" && back["state"] == "running")
                #expect(try await bench.isMarked(instance, on: "host-a", megabytes: 2))
            }
        }
    }
}

extension MigrationBench {
    /// Restarts a daemon with other options of the group `migration`.
    fileprivate func change(
        _ host: String,
        _ options: [String: String],
        insteadOf old: [String: String]
    ) async throws {
        let daemon = daemon(host)
        for name in old.keys { daemon.settings.options["migration"]?[name] = nil }
        daemon.settings.options["migration", default: [:]].merge(options) { $1 }
        try await daemon.terminate()
        try await daemon.start()
    }

    /// How often the guest has been started.
    fileprivate func boots(_ instance: TestInstance, on host: String) async throws -> Int {
        try await lines(instance, on: host).count { $0 == 1 }
    }
}
