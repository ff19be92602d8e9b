import Foundation
import HostBackend
import JSONCodec
import PluginHost
import PluginProtocol
import Support
import TestSupport
import Testing

/// What a plugin is given, and what a hostile one cannot do.
@Suite(.timeLimit(.minutes(10)))
struct ConfinementTests {
    private func facts(_ bench: PluginBench) throws -> JSONValue {
        let bytes = try Data(contentsOf: URL(filePath: bench.directory + "/plugin/environment"))
        return try JSONReader.read(Array(bytes))
    }

    @Test func itsEnvironmentIsCleanAndItHasNoDescriptorsOfOurs() async throws {
        setenv("VMOPS_TEST_SECRET", "hidden", 1)
        let settings = PluginBench.settings { $0.environment = ["EXTRA": "1"] }
        try await PluginBench.run(settings) { bench, _ in
            let facts = try facts(bench)
            let environment = try #require(facts["environment"]?.objectValue)
            let expected: Set<String> = ["PATH", "LANG", "HOME", "EXTRA", "VMOPS_PLUGIN"]
            // Python adds this one itself.
            #expect(Set(environment.keys).subtracting(["LC_CTYPE"]) == expected)
            #expect(environment["HOME"] == .string(bench.directory + "/plugin"))
            // The fourth and fifth are the file it writes and the directory that it lists.
            #expect((facts["descriptors"]?.arrayValue?.count ?? 99) <= 5)
            #expect(facts["pgid"] == facts["pid"])
        }
    }

    @Test(.enabled(if: geteuid() == 0)) func itRunsAsAnotherUserWithoutGroups() async throws {
        try await PluginBench.run { bench in
            // The directory above is the test's own, which the host opens for passing only.
            let settings = PluginBench.settings { $0.user = "nobody" }
            chmod(bench.directory, 0o700)
            try await bench.withHost(settings) { host in
                #expect(host.status.state == .running, "\(bench.log.all)")
                let facts = try facts(bench)
                #expect(facts["uid"] != 0)
                #expect(facts["groups"] == [])
                // It makes disks in an instance's directory, and cannot replace what is ours there.
                let spec = try bench.spec()
                let log = spec.directory + "/console.log"
                try "ours".write(toFile: log, atomically: true, encoding: .utf8)
                let disk = spec.directory + "/root.disk"
                _ = try await host.createDisk(
                    DiskRequest(path: disk, format: "raw", source: .blank, virtualSize: 1)
                )
                var information = stat()
                #expect(stat(disk, &information) == 0 && information.st_uid != 0)
                #expect(stat(spec.directory, &information) == 0)
                #expect(information.st_mode & S_ISVTX != 0 && information.st_uid == 0)
                #expect(information.st_mode & S_IRWXO == 0)
            }
        }
    }

    @Test func anotherProgramThanTheOneWithTheChecksumIsNotStarted() async throws {
        let wrong = PluginBench.settings {
            $0.checksums = [PluginSettings.Checksum(path: nil, digits: String(repeating: "b", count: 64))]
        }
        try await PluginBench.run(wrong) { bench, host in
            #expect(host.status.state != .running)
            #expect(bench.starts == [])
            #expect(host.status.lastError?.contains("not started") == true)
        }
        let right = PluginBench.settings {
            $0.checksums = [PluginSettings.Checksum(path: nil, digits: String(repeating: "A", count: 64))]
        }
        try await PluginBench.run(right) { _, host in #expect(host.status.state == .running) }
    }

    @Test func limitsAreSet() async throws {
        let settings = PluginBench.settings {
            $0.fileLimit = 64
            $0.memoryLimit = 1 << 30
        }
        try await PluginBench.run(settings) { bench, host in
            #expect(host.status.state == .running, "\(bench.log.all)")
            let pid = try #require(bench.starts.last)
            let limits = try String(contentsOfFile: "/proc/\(pid)/limits", encoding: .utf8)
            let files = limits.split(separator: "\n").first { $0.hasPrefix("Max open files") }
            let memory = limits.split(separator: "\n").first { $0.hasPrefix("Max address space") }
            #expect(files?.split(separator: " ").contains("64") == true)
            #expect(memory?.split(separator: " ").contains("1073741824") == true)
        }
    }

    @Test func whatIsLeftInItsProcessGroupEndsWithIt() async throws {
        let settings = PluginBench.settings {
            let plugin = $0.command.map { "'\($0)'" }.joined(separator: " ")
            $0.command = ["/bin/sh", "-c", "sleep 600 & echo $! > \"$HOME/child\"; exec \(plugin)"]
        }
        try await PluginBench.run(settings) { bench, host in
            let text = try String(contentsOfFile: bench.directory + "/plugin/child", encoding: .utf8)
            let child = try #require(Int32(text.trimmingCharacters(in: .whitespacesAndNewlines)))
            #expect(kill(child, 0) == 0)
            await host.disconnect()
            try await eventually("the end of what it left") {
                let state = try? String(contentsOfFile: "/proc/\(child)/stat", encoding: .utf8)
                return state?.contains(") Z ") ?? true
            }
        }
    }

    @Test func aShutdownLeavesNoPluginBehind() async throws {
        try await PluginBench.run { bench in
            try await bench.withHost(PluginBench.settings()) { _ in }
            let pid = try #require(bench.starts.last)
            try await eventually("its end") { kill(pid, 0) != 0 }
        }
    }
}
