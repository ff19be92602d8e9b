import DaemonBench
import Foundation
import Glibc
import Subprocess
import Support
import TestSupport
import Testing

/// SIGUSR2: another program goes on in the process's place.
@Suite(.enabled(if: TestBroker.isAvailable, Comment(rawValue: TestBroker.missing)), .timeLimit(.minutes(4)))
struct UpgradeTests {
    private static func settings(_ options: [String: [String: String]] = [:]) -> DaemonSettings {
        Upgrade.settings(DaemonSettings(options: options))
    }

    @Test func noRequestNoConsoleByteAndNoFanoutQueueIsLost() async throws {
        let options = ["simulated": ["lines_per_second": "200", "boot_lines": "5"]]
        try await Bench.run(Self.settings(options), prepare: Upgrade.install) { bench in
            let talker = TestInstance("talker")
            try await bench.spawn(talker)
            let id = bench.daemon.processIdentifier
            let broker = try #require(TestBroker.shared)
            let queues = try await broker.queueNames(virtualHost: bench.daemon.virtualHost)
            let fanouts = queues.filter { $0.contains("_fanout_") }
            #expect(fanouts.count == 4)
            try await Load.run(bench) { load in
                for round in 1...3 {
                    let old = try Upgrade.program(bench)
                    try await Upgrade.install(bench.daemon.directory)
                    try await load.survives("upgrade \(round)") {
                        let pause = try await Upgrade.perform(bench)
                        print("upgrade \(round): nothing consumed for \(pause)")
                    }
                    #expect(try Upgrade.program(bench) != old)
                    #expect(bench.daemon.processIdentifier == id)
                }
            }
            let after = try await broker.queueNames(virtualHost: bench.daemon.virtualHost)
            #expect(Set(after).isSuperset(of: fanouts))
            #expect(after.count { $0.contains("_fanout_") } == fanouts.count)
            try await Self.checkConsole(bench, talker)
        }
    }

    /// The guest numbers its lines: each must be there once, in order.
    private static func checkConsole(_ bench: Bench, _ instance: TestInstance) async throws {
        let marks = try await bench.call("console_marks", instance.reference)
        #expect(marks.arrayValue?.contains { $0["kind"]?.stringValue == "gap" } == false, "\(marks)")
        var bytes: [UInt8] = []
        while true {
            var args = instance.reference
            args["offset"] = .int(Int64(bytes.count))
            args["max_bytes"] = .int(1 << 20)
            let chunk = try await bench.call("console_read", args)
            let more = try #require(chunk["data"]?.stringValue.flatMap { Base64.decode($0) })
            if more.isEmpty { break }
            bytes += more
        }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n").dropLast()
        let numbers = lines.compactMap { line -> Int? in
            let words = line.split(separator: " ")
            return words.count >= 2 && words[0] == "line" ? Int(words[1]) : nil
        }
        // How many there are depends on how fast the upgrades were.
        #expect(numbers.count > 50)
        #expect(numbers == Array(1...numbers.count))
        print("console: \(numbers.count) numbered lines, none missing, none twice")
    }

    @Test func whatTakesLongerIsFinishedByTheNewProgram() async throws {
        let options = [
            "simulated": ["delay_set_state_ms": "4000"], "limits": ["upgrade_timeout": "0.1", "max_inflight": "2"],
        ]
        try await Bench.run(Self.settings(options), prepare: Upgrade.install) { bench in
            let instances = (0..<4).map { TestInstance("vm-\($0)", on: $0 % 2 == 0 ? "host-a" : "host-b") }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for instance in instances { group.addTask { try await bench.spawn(instance) } }
                try await group.waitForAll()
                for instance in instances {
                    group.addTask {
                        let info = try await bench.call(
                            "pause",
                            instance.reference,
                            on: instance.host,
                            requestID: "req-\(instance.name)."
                        )
                        #expect(info["state"]?.stringValue == "paused")
                    }
                }
                // Two run, four wait in the journal; a read waits for what does not come.
                try await eventually("all accepted") {
                    try await bench.metric("vmops_rpc_running") + bench.metric("vmops_rpc_queued") == 4
                }
                group.addTask {
                    var args = instances[0].reference
                    args["offset"] = .int(1 << 40)
                    args["wait"] = 30
                    let chunk = try await bench.call("console_read", args, on: instances[0].host)
                    #expect(chunk["data"]?.stringValue == "")
                }
                try await eventually("the read") { try await bench.metric("vmops_rpc_received_total") >= 9 }
                _ = try await Upgrade.perform(bench)
                // All are answered, by the new program.
                try await group.waitForAll()
            }
            #expect(bench.daemon.log.contains("operation left to the next process"))
            for instance in instances {
                #expect(bench.operationLines("req-\(instance.name).").count == 1)
            }
        }
    }

    @Test func aProgramThatCannotGoOnChangesNothing() async throws {
        try await Bench.run(Self.settings(), prepare: Upgrade.install) { bench in
            let old = try Upgrade.program(bench)
            let path = bench.daemon.directory + "/vmopsd"
            // No program, one that does not run here, and a good one that does not like the configuration.
            unlink(path)
            try await Self.expectRefusal(bench, 1)
            try Data("#!/bin/false\n".utf8).write(to: URL(filePath: path))
            chmod(path, 0o755)
            try await Self.expectRefusal(bench, 2)
            try await Upgrade.install(bench.daemon.directory)
            bench.daemon.settings.options["limits", default: [:]]["max_queue"] = "none"
            try bench.daemon.writeConfiguration()
            try await Self.expectRefusal(bench, 3)
            #expect(bench.daemon.log.contains("max_queue"))
            #expect(try Upgrade.program(bench) == old)
            bench.daemon.settings.options["limits"]?["max_queue"] = nil
            try bench.daemon.writeConfiguration()
            _ = try await Upgrade.perform(bench)
            #expect(try Upgrade.program(bench) != old)
        }
    }

    private static func expectRefusal(_ bench: Bench, _ count: Int) async throws {
        try bench.daemon.signal(.userDefinedTwo)
        try await eventually("refusal \(count)") {
            bench.daemon.logLines.count { $0.contains("upgrade refused, nothing changed") } == count
        }
        try await bench.call("ping")
    }

    @Test func aStopDuringAnUpgradeIsAStop() async throws {
        let options = ["simulated": ["delay_set_state_ms": "3000"]]
        try await Bench.run(Self.settings(options), prepare: Upgrade.install) { bench in
            let instance = TestInstance()
            try await bench.spawn(instance)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await bench.call("pause", instance.reference) }
                try await eventually("the operation") { try await bench.metric("vmops_rpc_running") == 1 }
                try bench.daemon.signal(.userDefinedTwo)
                try await bench.daemon.waitForLog("upgrade begins")
                try bench.daemon.signal(.terminate)
                #expect(try await bench.daemon.untilEnded() == "0")
                try await group.waitForAll()
            }
            try await bench.daemon.start()
            #expect(try await bench.state(instance) == "paused")
        }
    }
}
