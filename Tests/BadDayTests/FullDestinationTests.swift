import DaemonBench
import Foundation
import Glibc
import OsloMessaging
import Support
import TestSupport
import Testing

/// The destination took the machine on, and has no room for its disks.
@Suite(
    .enabled(
        if: TestBroker.isAvailable && DiskFaults.compiler != nil,
        "needs the shared broker and a C compiler"
    ),
    .timeLimit(.minutes(5))
)
struct FullDestinationTests {
    @Test(arguments: ["live_migration", "resize_instance"])
    func theMachineStaysAndMovesWhenThereIsRoom(_ method: String) async throws {
        try await withTemporaryDirectory { directory in
            let faults = try await DiskFaults(in: directory)
            try await MigrationBench.run(environment: faults.environment) { bench in
                let instance = try await bench.spawn()
                try await bench.mark(instance, on: "host-a", megabytes: 2)
                let place = bench.destination.statePath + "/host-b/instances/\(instance.uuid)/root."
                try faults.set(ENOSPC, below: place)
                let args = instance.reference.merging("dest", "host-b")
                #expect(try await bench.source.failure(method, args, on: "host-a") == "MigrationError")
                #expect(try await bench.state(instance, on: "host-a") == "running")
                try faults.clear()
                try await bench.expectOnlyMachine(instance, at: "host-a")
                _ = try await bench.source.call(method, args, on: "host-a")
                try await bench.expectOnlyMachine(instance, at: "host-b")
                #expect(try await bench.isMarked(instance, on: "host-b", megabytes: 2))
            }
        }
    }
}
