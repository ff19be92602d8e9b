import DaemonBench
import Foundation
import Subprocess
import Support
import TestSupport
import Testing

/// SIGTERM and SIGHUP.
@Suite(.enabled(if: TestBroker.isAvailable, Comment(rawValue: TestBroker.missing)), .timeLimit(.minutes(5)))
struct ShutdownTests {
    @Test func acceptedOperationsAreFinishedAndAnsweredBeforeTheEnd() async throws {
        let settings = DaemonSettings(options: ["simulated": ["delay_set_state_ms": "1500"]])
        try await Bench.run(settings) { bench in
            let instances = (0..<8).map { TestInstance("vm-\($0)", on: $0 % 2 == 0 ? "host-a" : "host-b") }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for instance in instances { group.addTask { try await bench.spawn(instance) } }
                try await group.waitForAll()
                for instance in instances {
                    group.addTask {
                        let info = try await bench.call("pause", instance.reference, on: instance.host)
                        #expect(info["state"]?.stringValue == "paused")
                    }
                }
                try await eventually("all running") { try await bench.metric("vmops_rpc_running") == 8 }
                try await bench.daemon.terminate()
                // Every call is answered although the worker is gone.
                try await group.waitForAll()
            }
            try await bench.daemon.start()
            for instance in instances { #expect(try await bench.state(instance) == "paused") }
        }
    }

    @Test func machinesOutliveARestartAndTheirConsolesGoOn() async throws {
        let settings = DaemonSettings(options: ["simulated": ["lines_per_second": "50", "boot_lines": "5"]])
        try await Bench.run(settings) { bench in
            let instance = TestInstance()
            try await bench.spawn(instance)
            try await eventually("console output") { try await bench.consoleEnd(instance) > 500 }
            try await bench.daemon.restart()
            #expect(try await bench.state(instance) == "running")
            let before = try await bench.consoleEnd(instance)
            try await eventually("more console output") { try await bench.consoleEnd(instance) > before + 500 }
            let marks = try await bench.call("console_marks", instance.reference)
            let boots = marks.arrayValue?.filter { $0["kind"]?.stringValue == "boot" } ?? []
            #expect(boots.count == 1, "\(marks)")
        }
    }

    @Test func aReloadPutsInForceWhatCanChangeAndNamesTheRest() async throws {
        try await Bench.run(DaemonSettings(options: ["DEFAULT": ["log_level": "info"]])) { bench in
            let daemon = bench.daemon
            let instance = TestInstance()
            try await bench.spawn(instance)
            try await bench.call("list_instances", requestID: "req-quiet")
            #expect(bench.operationLines("req-quiet").isEmpty)

            daemon.settings.options["DEFAULT"] = ["log_level": "debug", "compute_topic": "other"]
            daemon.settings.options["console"] = ["segment_bytes": "65536"]
            daemon.settings.options["limits", default: [:]]["allowed_methods"] = "list_instances,ping"
            try daemon.writeConfiguration()
            try daemon.signal(.terminalClosed)
            try await daemon.waitForLog("configuration reloaded")
            let restart = try await daemon.waitForLog("option needs a restart")
            #expect(restart.contains("compute_topic"))
            #expect(daemon.log.contains("console.segment_bytes"))
            try await bench.call("list_instances", requestID: "req-loud")
            try await eventually("a debug line") { bench.operationLines("req-loud").count == 1 }

            #expect(try await bench.failure("get_info", instance.reference) == "NoSuchMethod")

            daemon.settings.options["DEFAULT"] = ["log_level": "nonsense", "hosts": ""]
            daemon.settings.options["limits"]?["allowed_methods"] = nil
            try daemon.writeConfiguration()
            try daemon.signal(.terminalClosed)
            try await daemon.waitForLog("nothing changed")
            try await bench.call("list_instances", requestID: "req-still")
            try await eventually("a debug line") { bench.operationLines("req-still").count == 1 }
            #expect(try await bench.failure("get_info", instance.reference) == "NoSuchMethod")
            daemon.settings.options["DEFAULT"] = [:]
        }
    }
}
