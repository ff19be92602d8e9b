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
            try await hosts.awaitConsole(instance, on: "host-b", "check pages=")
            try await hosts.awaitConsole(instance, on: "host-b", "sector same")
            #expect(try await hosts.console(instance, on: "host-b").contains("bad=0"))
            try await hosts.migrate(instance, from: "host-b")
            try await hosts.expectOnly(instance, at: "host-a")
            try await hosts.bench.call("destroy", instance.reference)
            #expect(hosts.files(instance, on: "host-a") == [])
        }
    }
}
