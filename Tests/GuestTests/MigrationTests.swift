import DaemonBench
import Foundation
import OsloMessaging
import Support
import TestSupport
import Testing

/// Real machines move between two daemons while they run. However it ends, the machine is at exactly one of the two, with
/// a console log without gap and repetition.
@Suite(.enabled(if: GuestBench.isPossible, Comment(rawValue: GuestBench.missing)), .timeLimit(.minutes(10)))
struct MigrationTests {
    @Test func aPrintingMachineMovesThereAndBackWithItsDisksAndItsLog() async throws {
        try await GuestMigration.run { hosts in
            let instance = try await hosts.spawn(["config_drive": true])
            // A pattern on the disk, which has to come along.
            try await hosts.type("w20\nd8\nb1770\n", instance, on: "host-a")
            let info = try await hosts.migrate(instance)
            #expect(info["host"] == "host-b")
            #expect(info["state"] == "running")
            try await hosts.awaitConsole(instance, on: "host-b", "blast done")
            try await hosts.expectOnly(instance, at: "host-b")
            // Memory and disk are what they were.
            try await hosts.type("d0\nc\nv20\n", instance, on: "host-b")
            try await hosts.awaitConsole(instance, on: "host-b", "sector same")
            #expect(try await hosts.console(instance, on: "host-b").contains("bad=0"))
            try await hosts.migrate(instance, from: "host-b")
            try await hosts.expectOnly(instance, at: "host-a")
            try await hosts.bench.call("destroy", instance.reference)
            #expect(hosts.files(instance, on: "host-a") == [])
        }
    }

    /// Both hosts see one directory of instances: nothing is copied, and nothing is removed.
    @Test func disksInSharedStorageStayWhereTheyAre() async throws {
        try await GuestMigration.run { hosts in
            let shared = hosts.bench.daemon.statePath + "/host-a/instances"
            let own = hosts.destination.statePath + "/host-b/instances"
            try await hosts.destination.kill()
            try? FileManager.default.removeItem(atPath: own)
            try FileManager.default.createSymbolicLink(atPath: own, withDestinationPath: shared)
            try await hosts.destination.start()
            let instance = try await hosts.spawn()
            let disks = try Self.inodes(shared + "/" + instance.uuid)
            try await hosts.type("w20\nb400\n", instance, on: "host-a")
            // To copy a disk onto itself would be its end.
            #expect(try await hosts.failure(instance, ["block_migration": true]) == "MigrationPreCheckError")
            try await hosts.migrate(instance)
            #expect(try await hosts.state(instance, on: "host-a") == nil)
            try await hosts.type("v20\n", instance, on: "host-b")
            try await hosts.awaitConsole(instance, on: "host-b", "sector same")
            #expect(try Self.inodes(shared + "/" + instance.uuid) == disks)
            try Ticks.check(try await hosts.console(instance, on: "host-b"), boots: 1)
            #expect(try QEMU.processes(uuid: instance.uuid).count == 1)
        }
    }

    /// Of the disks; the log and the owner's description of the instance are written anew.
    private static func inodes(_ directory: String) throws -> [String: Int] {
        var inodes: [String: Int] = [:]
        for name in try FileManager.default.contentsOfDirectory(atPath: directory)
        where !name.hasPrefix("console") && !name.hasPrefix(".vmops-") {
            let attributes = try FileManager.default.attributesOfItem(atPath: directory + "/" + name)
            inodes[name] = attributes[.systemFileNumber] as? Int
        }
        return inodes
    }

    @Test func aPausedMachineArrivesPausedAndGoesOn() async throws {
        try await GuestMigration.run { hosts in
            let instance = try await hosts.spawn()
            try await hosts.bench.call("pause", instance.reference)
            try await hosts.migrate(instance)
            try await hosts.expectOnly(instance, at: "host-b", "paused")
            try await hosts.bench.call("unpause", instance.reference, on: "host-b")
            try await hosts.type("w20\nv20\n", instance, on: "host-b")
            try await hosts.awaitConsole(instance, on: "host-b", "sector same")
            // QEMU has forgotten what it was told about the move.
            try await hosts.bench.call("suspend", instance.reference, on: "host-b", timeout: .seconds(90))
            try await hosts.bench.call("resume", instance.reference, on: "host-b", timeout: .seconds(90))
            try await hosts.expectOnly(instance, at: "host-b")
        }
    }

    @Test func theClientShowsHowFarItIsAndGoesOnReadingTheConsole() async throws {
        try await GuestMigration.run(both: GuestMigration.slow) { hosts in
            let instance = try await hosts.spawn()
            let url = hosts.bench.daemon.url
            try await hosts.type("t1\n", instance, on: "host-a")
            let arguments = ["--url", url, "console", instance.name, "--follow"]
            try await LineProcess.run(Checkout.program("vmopsctl"), arguments) { reader in
                var next = 0
                func read(_ count: Int) async throws {
                    let end = next + count
                    while next < end {
                        guard let line = TickGuest.text(of: try await reader.readLine()) else { continue }
                        #expect(line.number == next)
                        next += 1
                    }
                }
                try await read(20)
                let move = ["--url", url, "live-migrate", instance.name, "host-b"]
                let result = try await LineProcess.run(Checkout.program("vmopsctl"), move) { client in
                    while !(try await client.readLine()).contains("host-b") {}
                    return client.standardError
                }
                #expect(result.contains("host-a to host-b, precopy"), "\(result)")
                try await read(next + 100)
            }
        }
    }

    @Test func everythingIsEncryptedAndStrangersAreSentAway() async throws {
        try await withTemporaryDirectory { directory in
            try await HostCertificates.make(["host-a", "host-b", "stranger"], in: directory + "/hosts")
            try await HostCertificates.make(["host-a"], in: directory + "/others")
            let source = HostCertificates.options("host-a", in: directory + "/hosts")
            let destination = HostCertificates.options("host-b", in: directory + "/hosts")
            try await GuestMigration.run(
                source: ["migration": source],
                destination: ["migration": destination.merging(["channels": "2"]) { $1 }]
            ) { hosts in
                let instance = try await hosts.spawn()
                try await hosts.type("w20\nb400\n", instance, on: "host-a")
                // One without encryption, and one of another authority.
                let strangers = HostCertificates.options("host-a", in: directory + "/others")
                for (options, failure) in [([:], "MigrationPreCheckError"), (strangers, "MigrationError")] {
                    try await hosts.change("host-a", options, insteadOf: source)
                    #expect(try await hosts.failure(instance) == failure)
                    try await hosts.expectOnly(instance, at: "host-a")
                }
                try await hosts.change("host-a", source, insteadOf: strangers)
                try await hosts.migrate(instance)
                try await hosts.expectOnly(instance, at: "host-b")
                try await hosts.type("v20\n", instance, on: "host-b")
                try await hosts.awaitConsole(instance, on: "host-b", "sector same")
                // By two connections, as this source wants it.
                try await hosts.migrate(instance, from: "host-b")
                try await hosts.expectOnly(instance, at: "host-a")
                let keys = FileManager.default.enumerator(atPath: hosts.bench.daemon.statePath)?.compactMap {
                    $0 as? String
                }
                #expect(keys?.contains { $0.hasSuffix("-key.pem") } == false)
            }
        }
    }

    // MARK: - Guests that change their memory fast

    @Test(arguments: ["abort", "pause"])
    func aGuestThatCannotBeFollowed(isToBe action: String) async throws {
        var options = GuestMigration.slow
        options["migration"]?["bandwidth"] = "20000000"
        options["migration"]?["completion_timeout"] = "2"
        options["migration"]?["timeout_action"] = action
        options["migration"]?["max_downtime_ms"] = "1"
        options["migration"]?["downtime_ms"] = "1"
        try await GuestMigration.run(source: options) { hosts in
            let instance = try await hosts.spawn()
            try await hosts.type("dd\n", instance, on: "host-a")
            let place = action == "pause" ? "host-b" : "host-a"
            #expect(try await hosts.failure(instance) == (action == "pause" ? nil : "MigrationError"))
            try await hosts.expectOnly(instance, at: place)
            try await hosts.type("d0\nc\n", instance, on: place)
            try await hosts.awaitConsole(instance, on: place, "check pages=")
            #expect(try await hosts.console(instance, on: place).contains("bad=0"))
        }
    }

    @Test func anAbortLeavesTheMachineHere() async throws {
        try await GuestMigration.run(source: GuestMigration.slow) { hosts in
            let instance = try await hosts.spawn()
            try await hosts.type("d8\n", instance, on: "host-a")
            async let outcome = hosts.failure(instance)
            try await hosts.inTheCopy(instance)
            #expect(try await hosts.state(instance, on: "host-b") == "migrating-in")
            try await hosts.bench.call("abort_live_migration", instance.reference)
            #expect(try await outcome == "MigrationError")
            try await hosts.expectOnly(instance, at: "host-a")
            try await hosts.type("d0\n", instance, on: "host-a")
            try await hosts.migrate(instance)
            try await hosts.expectOnly(instance, at: "host-b")
        }
    }
}
