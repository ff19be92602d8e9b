import Foundation
import Glibc
import HostBackend
import HostConformance
import Support
import TestSupport
import Testing

@testable import QEMUHost

@Suite(.timeLimit(.minutes(5)), .enabled(if: QEMUProgram.isInstalled, Comment(rawValue: QEMUProgram.missing)))
struct ExportTests {
    /// A machine whose root disk is a layer over an image, its guest up and a sector of its disk written.
    private static func written(
        _ bench: Bench,
        _ host: QEMUHost
    ) async throws -> (spec: MachineSpec, console: ConsoleReader) {
        var spec = try bench.spec()
        let base = spec.disks[0].path
        spec.disks[0].path = spec.directory + "/layer.qcow2"
        spec.disks[0].format = "qcow2"
        let image = ImageInfo(reference: "tick", path: base, format: "raw", virtualSize: 1 << 20)
        _ = try await host.createDisk(
            DiskRequest(path: spec.disks[0].path, format: "qcow2", source: .overlay(image), virtualSize: 2 << 20)
        )
        try await host.createMachine(spec)
        _ = try await host.setState(spec.uuid, .running, deadline: Bench.limit)
        let console = try await ConsoleReader(host.openConsole(spec.uuid))
        try await console.until("] ready")
        try await host.writeConsole(spec.uuid, Array("w20\n".utf8))
        try await console.until("written")
        return (spec, console)
    }

    /// Boots the exported disk alone and has its guest read the sector.
    private static func check(_ info: DiskInfo, _ bench: Bench, _ host: QEMUHost) async throws {
        #expect(info.backingFile == nil && info.virtualSize == 2 << 20)
        var spec = try bench.spec()
        spec.disks[0].path = info.path
        spec.disks[0].format = info.format
        try await host.createMachine(spec)
        _ = try await host.setState(spec.uuid, .running, deadline: Bench.limit)
        let console = try await ConsoleReader(host.openConsole(spec.uuid))
        try await console.until("] ready")
        try await host.writeConsole(spec.uuid, Array("v20\n".utf8))
        try await console.until("sector same")
        try await host.deleteMachine(spec.uuid)
    }

    /// What QEMU still has of exports.
    private static func leftovers(_ machine: QEMUMachine) async throws -> [JSONValue] {
        let jobs = try await machine.execute("query-jobs").arrayValue ?? []
        let files = try await machine.execute("query-fdsets").arrayValue ?? []
        let nodes = try await machine.nodes().filter { $0["node-name"] == "export" }
        return jobs + files + nodes
    }

    @Test(arguments: [TargetState.running, .paused, .saved, .off])
    func theExportBootsAloneAndHoldsWhatWasWritten(_ state: TargetState) async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (spec, _) = try await Self.written(bench, host)
            _ = try await host.setState(spec.uuid, state, deadline: Bench.limit)
            for format in ["qcow2", "raw"] {
                let path = bench.directory + "/export.\(format)"
                let info = try await host.exportRootDisk(spec.uuid, to: path, format: format)
                #expect(info.path == path && info.format == format)
                try await Self.check(info, bench, host)
            }
            #expect(try await host.machine(spec.uuid).state == state.state)
            if state == .running || state == .paused {
                // QEMU closes nothing that was lent to it while the guest is paused.
                _ = try await host.setState(spec.uuid, .running, deadline: Bench.limit)
                #expect(try await Self.leftovers(host.find(spec.uuid)).isEmpty)
            }
        }
    }

    @Test func theGuestGoesOnWritingMeanwhile() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (spec, console) = try await Self.written(bench, host)
            let info = try await host.exportRootDisk(spec.uuid, to: bench.directory + "/a", format: "qcow2")
            try await host.writeConsole(spec.uuid, Array("w21\nv21\nv20\n".utf8))
            try await eventually("its disk as it was") {
                console.text.components(separatedBy: "sector same").count == 3
            }
            try await Self.check(info, bench, host)
        }
    }

    @Test func aFileThatIsThereIsNotTouched() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (spec, _) = try await Self.written(bench, host)
            let path = bench.directory + "/a"
            try Data("mine".utf8).write(to: URL(filePath: path))
            let refused = await code { _ = try await host.exportRootDisk(spec.uuid, to: path, format: "raw") }
            #expect(refused == .alreadyExists)
            #expect(try Data(contentsOf: URL(filePath: path)) == Data("mine".utf8))
        }
    }

    /// An export that would take minutes.
    private static func withSlowExport(
        _ body: @Sendable (QEMUHost, QEMUMachine, Task<Void, any Error>) async throws -> Void
    ) async throws {
        try await withBench { bench in
            let host = try await bench.host { $0.exportBandwidth = 1 << 16 }
            let spec = try bench.spec()
            let disk = try FileHandle(forUpdating: URL(filePath: spec.disks[0].path))
            try disk.seek(toOffset: 1 << 20)
            for number in 0..<4 { try disk.write(contentsOf: Data(repeating: UInt8(number + 1), count: 4 << 20)) }
            try disk.close()
            try await host.createMachine(spec)
            _ = try await host.setState(spec.uuid, .running, deadline: Bench.limit)
            let machine = try host.find(spec.uuid)
            let path = bench.directory + "/a"
            // Ended by `body`, awaited right behind it.
            let export = Task { _ = try await host.exportRootDisk(spec.uuid, to: path, format: "raw") }
            try await eventually("the export has begun") {
                try await machine.execute("query-jobs").arrayValue?.contains { $0["id"] == "export" } ?? false
            }
            try await body(host, machine, export)
            let outcome = await export.result
            #expect((outcome.failure as? BackendError)?.code == .cancelled, "\(outcome)")
            #expect(!FileManager.default.fileExists(atPath: path))
            #expect(try await Self.leftovers(machine).isEmpty)
            try await ConsoleReader(host.openConsole(spec.uuid)).until("tick")
        }
    }

    @Test func aCancelledExportLeavesNothing() async throws {
        try await Self.withSlowExport { _, _, export in export.cancel() }
    }

    @Test func jobsAreCancelledOutOfTurn() async throws {
        try await Self.withSlowExport { host, machine, _ in try await host.cancelJobs(machine.uuid) }
    }

    @Test func anExportOfAWorkerThatIsGoneIsTakenBack() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (spec, _) = try await Self.written(bench, host)
            let machine = try host.find(spec.uuid)
            try await machine.execute(
                "blockdev-add",
                ["driver": "null-co", "node-name": "export", "size": .int(2 << 20)]
            )
            try await machine.execute(
                "blockdev-backup",
                [
                    "job-id": "export", "device": "disk-ide0-0", "target": "export", "sync": "full", "speed": 1,
                    "auto-dismiss": false,
                ]
            )
            await host.simulateCrash()
            let next = try await bench.host()
            #expect(try await Self.leftovers(next.find(spec.uuid)).isEmpty)
            #expect(try await next.machine(spec.uuid).state == .running)
        }
    }

    @Test(.enabled(if: geteuid() == 0, "only root can mount a small file system"))
    func aFullDiskIsAnErrorThatLeavesNothing() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (spec, console) = try await Self.written(bench, host)
            let place = bench.directory + "/small"
            try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: false)
            _ = try await runCommand("mount", ["-t", "tmpfs", "-o", "size=300k", "small", place])
            let refused: BackendError.Code?
            do {
                // The program of the guest fits, but not all that follows.
                for number in 0x40..<0x400 where number % 0x40 == 0 {
                    try await host.writeConsole(spec.uuid, Array("w\(String(number, radix: 16))\n".utf8))
                }
                try await console.until("rx w3c0")
                refused = await code {
                    _ = try await host.exportRootDisk(spec.uuid, to: place + "/a", format: "qcow2")
                }
                #expect(try FileManager.default.contentsOfDirectory(atPath: place).isEmpty)
            } catch {
                _ = try? await runCommand("umount", ["-l", place])
                throw error
            }
            _ = try await runCommand("umount", ["-l", place])
            #expect(refused == .resourceExhausted)
            #expect(try await Self.leftovers(host.find(spec.uuid)).isEmpty)
            #expect(try await host.machine(spec.uuid).state == .running)
        }
    }
}

extension Result {
    fileprivate var failure: Failure? {
        if case .failure(let error) = self { error } else { nil }
    }
}
