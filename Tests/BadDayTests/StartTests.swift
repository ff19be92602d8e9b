import DaemonBench
import Foundation
import Glibc
import Subprocess
import Support
import SystemPackage
import TestSupport
import Testing

/// What stands in the way of a start, and what the operator is told.
@Suite(.timeLimit(.minutes(5)))
struct StartTests {
    /// Runs the program to its end.
    private func vmopsd(_ arguments: String...) async throws -> (status: Int32, output: String, error: String) {
        let result = try await Subprocess.run(
            .path(FilePath(Checkout.program("vmopsd"))),
            arguments: Arguments(arguments),
            output: .string(limit: 1 << 20),
            error: .string(limit: 1 << 20)
        )
        guard case .exited(let status) = result.terminationStatus else {
            throw Unexpected("ended by \(result.terminationStatus): \(result.standardError)")
        }
        return (status, result.standardOutput, result.standardError)
    }

    private func write(_ text: String, in directory: String) throws -> String {
        let path = directory + "/vmops.conf"
        try Data(text.utf8).write(to: URL(filePath: path))
        return path
    }

    @Test func allMistakesAreToldAtOnceEachWithItsPlace() async throws {
        try await withTemporaryDirectory { directory in
            let file = try write(
                """
                [DEFAULT]
                transport_url = nonsense
                log_level = loud
                shutdown_timeout = soon
                compute_topik = compute
                [console]
                segment_bytes = -5
                [limits]
                max_queue = 0
                """,
                in: directory
            )
            let checked = try await vmopsd("--config-file", file, "--check-config")
            #expect(checked.status == 1)
            for line in [2, 3, 4, 5, 7, 9] {
                let lines = checked.error.split(separator: "\n")
                #expect(checked.error.contains("\(file):\(line)"), "\(lines)")
            }
            #expect(checked.error.contains("compute_topic"))
            let started = try await vmopsd("--config-file", file)
            #expect(started.status == 1)
        }
    }

    @Test func theSampleIsAConfigurationWithoutProblems() async throws {
        try await withTemporaryDirectory { directory in
            let sample = try await vmopsd("--sample-config")
            #expect(sample.status == 0)
            let file = try write(sample.output, in: directory)
            let checked = try await vmopsd("--config-file", file, "--check-config")
            #expect(checked.status == 0)
            #expect(checked.error == "")
            // Every option of the sample, given with its default value, is accepted too.
            let lines = sample.output.split(separator: "\n").map { line in
                let text = line.drop { $0 == "#" }
                let isOption = line.hasPrefix("#") && !line.hasPrefix("# ") && text.contains(" = ")
                return isOption && !text.contains("<") ? String(text) : String(line)
            }
            let all = try write(lines.joined(separator: "\n"), in: directory)
            let second = try await vmopsd("--config-file", all, "--check-config")
            #expect(second.status == 0, "\(second.error)")
        }
    }

    @Test func aFileThatIsMissingIsNamed() async throws {
        let result = try await vmopsd("--config-file", "/nonexistent/vmops.conf")
        #expect(result.status == 1)
        #expect(result.error.contains("/nonexistent/vmops.conf"))
    }

    @Test func anUnusableStatePathIsNamed() async throws {
        try await withTemporaryDirectory { directory in
            // Not even root can make a directory below a file.
            try Data().write(to: URL(filePath: directory + "/file"))
            let file = try write("[DEFAULT]\nstate_path = \(directory)/file/state\n", in: directory)
            let result = try await vmopsd("--config-file", file)
            #expect(result.status == 1)
            #expect(result.error.contains(directory + "/file/state"))
            #expect(result.error.split(separator: "\n").count == 1, "\(result.error)")
        }
    }

    @Test(.enabled(if: TestBroker.isAvailable, Comment(rawValue: TestBroker.missing)))
    func aSecondDaemonOnTheSameFilesSaysSoAndEnds() async throws {
        try await Bench.run { bench in
            let second = try await vmopsd("--config-file", bench.daemon.configurationFile)
            #expect(second.status == 1)
            #expect(second.error.contains(bench.daemon.statePath), "\(second.error)")
            #expect(second.error.split(separator: "\n").count == 1, "\(second.error)")
            try await bench.call("ping")
            _ = try await bench.metric("vmops_rpc_running")
        }
    }

    @Test(.enabled(if: TestBroker.isAvailable, Comment(rawValue: TestBroker.missing)))
    func aTakenAdminSocketIsNamedAndLeftToItsOwner() async throws {
        try await Bench.run { bench in
            let other = bench.daemon.directory + "/other"
            let second = try await vmopsd(
                "--config-file",
                bench.daemon.configurationFile,
                "--set",
                "DEFAULT.state_path=\(other)"
            )
            #expect(second.status == 1)
            #expect(second.error.contains(bench.daemon.adminSocket), "\(second.error)")
            _ = try await bench.metric("vmops_rpc_running")
        }
    }

    @Test(.enabled(if: TestBroker.isAvailable && getuid() == 0))
    func aFullDiskRefusesWorkAndServesAgainWhenThereIsRoom() async throws {
        try await withTemporaryDirectory { directory in
            _ = try await runCommand("mount", ["-t", "tmpfs", "-o", "size=6m", "tmpfs", directory])
            do {
                try await fillDisk(directory)
            } catch {
                _ = try? await runCommand("umount", ["-l", directory])
                throw error
            }
            _ = try await runCommand("umount", ["-l", directory])
        }
    }

    private func fillDisk(_ directory: String) async throws {
        let settings = DaemonSettings(options: [
            "DEFAULT": ["state_path": directory + "/state"], "simulated": ["lines_per_second": "50"],
        ])
        try await Bench.run(settings) { bench in
            let instance = TestInstance()
            try await bench.spawn(instance)
            let ballast = directory + "/ballast"
            #expect(FileManager.default.createFile(atPath: ballast, contents: nil))
            let file = try FileHandle(forWritingTo: URL(filePath: ballast))
            var size = 1 << 16
            while size > 0 {
                do { try file.write(contentsOf: Data(count: size)) } catch { size /= 2 }
            }
            try file.close()
            // What is refused is refused with words; reads go on.
            var failures: Set<String> = []
            for number in 0..<400 where failures.isEmpty {
                let method = number % 2 == 0 ? "pause" : "unpause"
                if let failure = try await bench.failure(method, instance.reference) { failures.insert(failure) }
            }
            #expect(!failures.isEmpty)
            #expect(try await bench.state(instance) != nil)
            try await bench.daemon.waitForLog("journal")
            try FileManager.default.removeItem(atPath: ballast)
            try await eventually("work again") {
                _ = try await bench.failure("unpause", instance.reference)
                return try await bench.failure("pause", instance.reference) == nil
            }
            try await bench.call("unpause", instance.reference)
            let end = try await bench.consoleEnd(instance)
            try await eventually("console output") { try await bench.consoleEnd(instance) > end }
        }
    }
}
