import DaemonBench
import Foundation
import OsloMessaging
import RPCClient
import Support
import TestSupport
import Testing

/// Cold migration between two processes, with everything that can go wrong on the way. However it ends, the machine is
/// defined at exactly one of the two hosts, and the other has nothing of it that could run.
@Suite(.enabled(if: TestBroker.isAvailable, Comment(rawValue: TestBroker.missing)), .timeLimit(.minutes(15)))
struct ColdMigrationTests {
    @Test func anInstanceGoesAndComesBackWithItsLog() async throws {
        try await MigrationBench.run { bench in
            let instance = try await bench.spawn()
            try await bench.mark(instance, on: "host-a", megabytes: 3)
            let info = try await bench.moveCold(instance)
            #expect(info["host"] == "host-b" && info["state"] == "running" && info["memory_mb"] == 96)
            #expect(info["resize"] == "unconfirmed")
            #expect(try await bench.isMarked(instance, on: "host-b", megabytes: 3))
            try await bench.expectOnlyMachine(instance, at: "host-b", boots: 2)
            let back = try await bench.source.call("revert_resize", instance.reference, on: "host-b")
            #expect(back["host"] == "host-a" && back["memory_mb"] == 64)
            try await bench.expectOnlyMachine(instance, at: "host-a", boots: 3)
            #expect(bench.files(instance, on: "host-b") == [])
            _ = try await bench.moveCold(instance)
            try await bench.source.call("confirm_resize", instance.reference, on: "host-b")
            #expect(bench.files(instance, on: "host-a") == [])
            try await bench.expectOnlyMachine(instance, at: "host-b", boots: 4)
        }
    }

    @Test func theCommandLineMovesConfirmsAndReverts() async throws {
        try await MigrationBench.run { bench in
            let instance = try await bench.spawn()
            func run(_ arguments: String...) async throws -> String {
                try await runCommand(
                    Checkout.program("vmopsctl"),
                    ["--url", bench.source.daemon.url] + arguments
                )
            }
            let moved = try await run("migrate", instance.name, "host-b", "--shutdown-timeout", "0")
            #expect(moved.contains("\(instance.name) is running on host-b"))
            #expect(try await run("revert-resize", instance.name).contains("running on host-a"))
            let resized = try await run(
                "resize",
                instance.name,
                "--memory-mb",
                "128",
                "--root-gb",
                "2",
                "--shutdown-timeout",
                "5"
            )
            #expect(resized.contains("running on host-a"))
            let details = try await run("info", instance.name)
            #expect(details.contains("unconfirmed") && details.contains("128"))
            #expect(try await run("confirm-resize", instance.name).contains("running on host-a"))
            #expect(try await !run("info", instance.name).contains("unconfirmed"))
        }
    }

    /// The source dies at a step, once; started again it carries the request to its end, and the caller hears of it.
    @Test(arguments: [
        "set_state nth:2 crash", "set_state nth:2 crash after", "delete_machine nth:1 crash",
        "delete_machine nth:1 crash after",
    ])
    func theSourceDies(at step: String) async throws {
        let (fault, rule) = Self.split(step)
        try await MigrationBench.run(source: ["simulated": [fault: rule]]) { bench in
            let instance = try await bench.spawn()
            async let outcome = bench.moveCold(instance, timeout: .seconds(90))
            _ = try await bench.source.daemon.untilEnded()
            try await bench.restart("host-a", without: [fault])
            #expect(try await outcome["host"] == "host-b")
            try await bench.expectOnlyMachine(instance, at: "host-b")
        }
    }

    /// The destination dies before the machine is its own: it stays, and a repetition succeeds.
    @Test(arguments: ["create_machine nth:1 crash", "create_machine nth:1 crash after"])
    func theDestinationDies(at step: String) async throws {
        let (fault, rule) = Self.split(step)
        try await MigrationBench.run(destination: ["simulated": [fault: rule]]) { bench in
            let instance = try await bench.spawn()
            let failure = try await bench.coldFailure(instance)
            #expect(["MigrationError", "HypervisorUnavailable"].contains(failure))
            #expect(try await bench.state(instance, on: "host-a") == "running")
            try await bench.restart("host-b", without: [fault])
            try await bench.expectOnlyMachine(instance, at: "host-a")
            _ = try await bench.moveCold(instance)
            try await bench.expectOnlyMachine(instance, at: "host-b")
        }
    }

    /// The machine belongs to the destination already, which starts it as soon as it is back.
    @Test(arguments: ["set_state nth:1 crash", "set_state nth:1 crash after"])
    func theDestinationDiesWhenTheMachineIsItsOwn(_ step: String) async throws {
        let (fault, rule) = Self.split(step)
        try await MigrationBench.run(destination: ["simulated": [fault: rule]]) { bench in
            let instance = try await bench.spawn()
            let info = try await bench.moveCold(instance)
            #expect(info["host"] == "host-b")
            try await bench.restart("host-b", without: [fault])
            try await eventually("the instance on host-b") {
                try await bench.state(instance, on: "host-b").map { ["running", "off"].contains($0) } ?? false
            }
            #expect(try await bench.state(instance, on: "host-a") == nil)
            let back = try await bench.source.call("revert_resize", instance.reference, on: "host-b")
            #expect(back["host"] == "host-a" && back["state"] == "running")
            try await bench.expectOnlyMachine(instance, at: "host-a")
        }
    }

    /// Both ends of a copy are killed in its middle, one after the other.
    @Test(arguments: ["host-a", "host-b"])
    func aWorkerIsKilledInTheMiddleOfTheCopy(_ host: String) async throws {
        try await MigrationBench.run(source: ["migration": ["bandwidth": "4000000"]]) { bench in
            let instance = try await bench.spawn()
            try await bench.mark(instance, on: "host-a", megabytes: 12)
            async let outcome = bench.coldOutcome(instance)
            try await bench.untilDisksAreCopied(instance)
            try await bench.daemon(host).kill()
            try await bench.restart(host, without: [])
            let place = try await outcome
            if place == "host-a" {
                try await bench.expectOnlyMachine(instance, at: "host-a")
                #expect(try await bench.moveCold(instance)["host"] == "host-b")
            }
            try await bench.expectOnlyMachine(instance, at: "host-b")
            #expect(try await bench.isMarked(instance, on: "host-b", megabytes: 12))
        }
    }

    /// Both workers are killed: in the middle of the copy, and at steps of the source before and after it has decided.
    @Test(arguments: ["copy", "set_state nth:2 crash after", "delete_machine nth:1 crash"])
    func bothDie(at step: String) async throws {
        let (fault, rule) = Self.split(step)
        let inTheCopy = step == "copy"
        let options = ["migration": ["bandwidth": "4000000"], "simulated": inTheCopy ? [:] : [fault: rule]]
        try await MigrationBench.run(source: options) { bench in
            let instance = try await bench.spawn()
            try await bench.mark(instance, on: "host-a", megabytes: inTheCopy ? 12 : 2)
            async let outcome = bench.coldOutcome(instance)
            if inTheCopy {
                try await bench.untilDisksAreCopied(instance)
                try await bench.source.daemon.kill()
            } else {
                _ = try await bench.source.daemon.untilEnded()
            }
            try await bench.destination.kill()
            try await bench.restart("host-a", without: [fault])
            try await bench.restart("host-b", without: [])
            let place = try await outcome
            if place == "host-a" {
                try await bench.expectOnlyMachine(instance, at: "host-a")
                try await eventually("nothing left on host-b") { bench.files(instance, on: "host-b") == [] }
                #expect(try await bench.moveCold(instance)["host"] == "host-b")
            }
            try await bench.expectOnlyMachine(instance, at: "host-b")
            #expect(try await bench.isMarked(instance, on: "host-b", megabytes: inTheCopy ? 12 : 2))
            try await bench.source.call("confirm_resize", instance.reference, on: "host-b")
            try await eventually("nothing left on host-a") { bench.files(instance, on: "host-a") == [] }
        }
    }

    @Test func aRevertIsCarriedThroughAlthoughTheDestinationDies() async throws {
        let fault = "fault_delete_machine"
        try await MigrationBench.run(destination: ["simulated": [fault: "nth:2 crash after"]]) { bench in
            let instance = try await bench.spawn()
            _ = try await bench.moveCold(instance)
            async let outcome = try? bench.source.call("revert_resize", instance.reference, on: "host-b")
            _ = try await bench.destination.untilEnded()
            try await bench.restart("host-b", without: [fault])
            _ = await outcome
            try await bench.expectOnlyMachine(instance, at: "host-a")
        }
    }

    // MARK: Evacuation

    /// Both hosts have the same instance directory, as with storage that a site shares.
    private static func withSharedStorage(_ body: @escaping @Sendable (MigrationBench) async throws -> Void)
        async throws
    {
        try await withTemporaryDirectory { shared in
            try await MigrationBench.run(
                prepare: { directory, host in
                    try FileManager.default.createDirectory(
                        atPath: "\(directory)/state/\(host)",
                        withIntermediateDirectories: true
                    )
                    try FileManager.default.createSymbolicLink(
                        atPath: "\(directory)/state/\(host)/instances",
                        withDestinationPath: shared
                    )
                }
            ) { bench in try await body(bench) }
        }
    }

    @Test func whatADeadHostRanRunsElsewhereAndTheHostGivesItUp() async throws {
        try await Self.withSharedStorage { bench in
            let instance = try await bench.spawn()
            let shortLived = TestInstance("short-lived", on: "host-a")
            try await bench.source.spawn(shortLived)
            #expect(
                try await bench.source.failure("evacuate_instance", instance.reference, on: "host-b")
                    == "ComputeServiceInUse"
            )
            try await bench.source.daemon.kill()
            let output = try await runCommand(
                Checkout.program("vmopsctl"),
                ["--url", bench.source.daemon.url, "evacuate", "host-a", "--to", "host-b"]
            )
            #expect(output.contains("2 evacuated, 0 not"))
            try await bench.source.call("destroy", shortLived.reference, on: "host-b")
            #expect(try await bench.state(instance, on: "host-b") == "running")
            let before = try await bench.lines(instance, on: "host-b").count
            // It is back, and had it in its journal and its machines.
            try await bench.restart("host-a", without: [])
            try await eventually("host-a in service") { try await bench.state(instance, on: "host-a") == nil }
            let machines = try await bench.source.call("list_instance_uuids", on: "host-a")
            #expect(machines == [])
            #expect(bench.files(shortLived, on: "host-a") == [])
            try await eventually("the log goes on") {
                try await bench.lines(instance, on: "host-b").count > before + 20
            }
            let numbers = try await bench.lines(instance, on: "host-b")
            for (first, second) in zip(numbers, numbers.dropFirst()) where second != 1 { #expect(first < second) }
            // And it can go home.
            let home = try await bench.source.call(
                "resize_instance",
                instance.reference.merging("dest", "host-a"),
                on: "host-b"
            )
            #expect(home["host"] == "host-a" && home["state"] == "running")
        }
    }

    private static func split(_ step: String) -> (fault: String, rule: String) {
        let words = step.split(separator: " ", maxSplits: 1)
        return ("fault_\(words[0])", words.count > 1 ? String(words[1]) : "")
    }
}

extension MigrationBench {
    /// To the other host, with more memory.
    func moveCold(_ instance: TestInstance, timeout: Duration = .seconds(60)) async throws -> JSONValue {
        var args = instance.reference.merging("dest", "host-b")
        args["flavor"] = ["memory_mb": 96, "root_gb": 2]
        return try await source.call("resize_instance", args, on: "host-a", timeout: timeout)
    }

    func coldFailure(_ instance: TestInstance) async throws -> String? {
        do {
            _ = try await moveCold(instance)
            return nil
        } catch let failure as RemoteFailure {
            return failure.className
        }
    }

    /// Where the instance is when the call is over, whatever came of it.
    func coldOutcome(_ instance: TestInstance) async throws -> String {
        do {
            return try await moveCold(instance, timeout: .seconds(90))["host"]?.stringValue ?? "host-a"
        } catch is RemoteFailure {
            return "host-a"
        }
    }

    /// Waits until some of the disks is at the other host, and not all of it.
    func untilDisksAreCopied(_ instance: TestInstance) async throws {
        try await eventually("a copy in its middle") {
            let info = try await source.call("get_info", instance.reference)
            return info["migration"]?["transferred_bytes"]?.intValue ?? 0 > 1 << 20
        }
    }

    private func rootDisk(_ instance: TestInstance, on host: String) throws -> String {
        let directory = daemon(host).statePath + "/" + host + "/instances/" + instance.uuid
        let name = try FileManager.default.contentsOfDirectory(atPath: directory).first { $0.hasPrefix("root.") }
        return directory + "/" + (try #require(name))
    }

    /// Writes another byte into each of the root disk's first megabytes.
    func mark(_ instance: TestInstance, on host: String, megabytes: Int) async throws {
        let commands = (0..<megabytes).flatMap { ["-c", "write -P \($0 + 1) \($0)M 1M"] }
        _ = try await runCommand("qemu-io", commands + [try rootDisk(instance, on: host)])
    }

    /// Whether the disk there has what ``mark(_:on:megabytes:)`` wrote. The machine may have it open: nothing is locked.
    func isMarked(_ instance: TestInstance, on host: String, megabytes: Int) async throws -> Bool {
        let commands = (0..<megabytes).flatMap { ["-c", "read -P \($0 + 1) \($0)M 1M"] }
        let answer = try await runCommand("qemu-io", ["-r", "-U"] + commands + [try rootDisk(instance, on: host)])
        return answer.components(separatedBy: "read 1048576/1048576").count == megabytes + 1
            && !answer.contains("verification failed")
    }

    /// Waits until the machine runs at one host and the other has none, and checks the log's order.
    func expectOnlyMachine(_ instance: TestInstance, at host: String, boots: Int? = nil) async throws {
        let other = host == "host-a" ? "host-b" : "host-a"
        try await eventually(timeout: .seconds(40), "\(instance.name) only on \(host)") {
            guard try await state(instance, on: host) == "running" else { return false }
            guard try await state(instance, on: other) == nil else { return false }
            let machine = daemon(other).statePath + "/\(other)/simulated/machines/\(instance.uuid).json"
            return !FileManager.default.fileExists(atPath: machine)
        }
        let before = try await lines(instance, on: host).count
        try await eventually("the log goes on") { try await lines(instance, on: host).count > before + 5 }
        let numbers = try await lines(instance, on: host)
        #expect(numbers.first == 1)
        for (first, second) in zip(numbers, numbers.dropFirst()) where second != 1 {
            #expect(boots == nil ? first < second : first + 1 == second, "\(numbers)")
        }
        if let boots {
            try await eventually("\(boots) boots") {
                try await lines(instance, on: host).filter { $0 == 1 }.count == boots
            }
        }
    }
}
