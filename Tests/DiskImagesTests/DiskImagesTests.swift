import DiskImages
import Foundation
import HostBackend
import Logging
import Support
import TestSupport
import Testing

private let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

private func images(searchPath: String? = nil, deadline: Duration = .seconds(60)) -> DiskImages {
    DiskImages(
        settings: DiskImages.Settings(
            searchPath: searchPath,
            shortDeadline: deadline,
            copyDeadline: deadline
        ),
        logger: quiet
    )
}

private func code(_ body: () async throws -> Void) async -> BackendError.Code? {
    do {
        try await body()
        return nil
    } catch {
        return (error as? BackendError)?.code ?? .internal
    }
}

extension DiskImages {
    fileprivate func rawImage(_ path: String) async throws -> ImageInfo {
        let info = try await diskInfo(path)
        return ImageInfo(reference: "base", path: path, format: info.format, virtualSize: info.virtualSize)
    }
}

private func write(_ path: String, _ bytes: [UInt8]) throws {
    try Data(bytes).write(to: URL(fileURLWithPath: path))
}

private func read(_ path: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: URL(fileURLWithPath: path))) }

/// A raw image with data at both ends and a hole between.
private func writeImage(_ path: String, size: Int) throws {
    _ = FileManager.default.createFile(atPath: path, contents: nil)
    let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
    try file.truncate(atOffset: UInt64(size))
    try file.seek(toOffset: 0)
    try file.write(contentsOf: Data((0..<4096).map { UInt8(truncatingIfNeeded: $0 &* 7) }))
    try file.seek(toOffset: UInt64(size - 512))
    try file.write(contentsOf: Data(repeating: 0xA5, count: 512))
    try file.close()
}

@Suite(.timeLimit(.minutes(5))) struct DiskImagesTests {
    // MARK: Disks without tools

    @Test func blankRawDiskIsSparseAndNeedsNoTool() async throws {
        try await withTemporaryDirectory { directory in
            let images = images(searchPath: "")
            #expect(images.diskFormats == ["raw"])
            let path = directory + "/disk"
            let info = try await images.createDisk(
                DiskRequest(path: path, format: "raw", source: .blank, virtualSize: 10 << 30)
            )
            #expect(info.virtualSize == 10 << 30)
            #expect(info.actualSize < 1 << 20)
            try await images.resizeDisk(path, virtualSize: 20 << 30)
            #expect(try await images.diskInfo(path).virtualSize == 20 << 30)
            try await images.resizeDisk(path, virtualSize: 20 << 30)
            #expect(await code { try await images.resizeDisk(path, virtualSize: 1 << 30) } == .invalidArgument)
        }
    }

    @Test func copyKeepsContentAndHolesAndCanBeLarger() async throws {
        try await withTemporaryDirectory { directory in
            let images = images(searchPath: "")
            try writeImage(directory + "/base.raw", size: 8 << 20)
            let image = try await images.rawImage(directory + "/base.raw")
            let info = try await images.createDisk(
                DiskRequest(path: directory + "/disk", format: "raw", source: .copy(image), virtualSize: 16 << 20)
            )
            #expect(info.virtualSize == 16 << 20)
            #expect(info.actualSize < 4 << 20)
            let copy = try read(directory + "/disk")
            let base = try read(directory + "/base.raw")
            // Compared outside of the expectation, which would print both.
            let isSame = copy.starts(with: base)
            #expect(isSame)
        }
    }

    @Test func aMissingToolIsNamedWithItsPackageAndLeavesNoFile() async throws {
        try await withTemporaryDirectory { directory in
            let images = images(searchPath: "")
            try writeImage(directory + "/base.raw", size: 1 << 20)
            let image = try await images.rawImage(directory + "/base.raw")
            do {
                _ = try await images.createDisk(
                    DiskRequest(path: directory + "/disk", format: "qcow2", source: .overlay(image), virtualSize: nil)
                )
                Issue.record("made without qemu-img")
            } catch let error as BackendError {
                #expect(error.code == .unimplemented)
                #expect(error.message.contains("qemu-utils"))
            }
            do {
                try await images.buildConfigDrive([], at: directory + "/drive")
                Issue.record("made without xorriso")
            } catch let error as BackendError {
                #expect(error.code == .unimplemented)
                #expect(error.message.contains("xorriso"))
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory) == ["base.raw"])
        }
    }

    @Test func impossibleRequestsAreRefusedAndLeaveNoFile() async throws {
        try await withTemporaryDirectory { directory in
            let images = images()
            try writeImage(directory + "/base.raw", size: 4 << 20)
            let image = try await images.rawImage(directory + "/base.raw")
            let path = directory + "/disk"
            let requests = [
                DiskRequest(path: path, format: "raw", source: .blank, virtualSize: nil),
                DiskRequest(path: path, format: "raw", source: .blank, virtualSize: 0),
                DiskRequest(path: path, format: "raw", source: .copy(image), virtualSize: 1 << 20),
                DiskRequest(path: path, format: "raw", source: .overlay(image), virtualSize: nil),
                DiskRequest(path: path, format: "floppy", source: .blank, virtualSize: 512),
                DiskRequest(path: "relative", format: "raw", source: .blank, virtualSize: 512),
                DiskRequest(path: path, format: "raw", source: .blank, virtualSize: .max),
            ]
            for request in requests {
                #expect(await code { _ = try await images.createDisk(request) } == .invalidArgument, "\(request)")
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory) == ["base.raw"])
            let missing = DiskRequest(path: directory + "/no/disk", format: "raw", source: .blank, virtualSize: 512)
            #expect(await code { _ = try await images.createDisk(missing) } == .notFound)
        }
    }

    @Test func anExistingFileIsNeverOverwritten() async throws {
        try await withTemporaryDirectory { directory in
            let path = directory + "/disk"
            try write(path, [1, 2, 3])
            let request = DiskRequest(path: path, format: "raw", source: .blank, virtualSize: 1 << 20)
            #expect(await code { _ = try await images().createDisk(request) } == .alreadyExists)
            #expect(try read(path) == [1, 2, 3])
        }
    }

    // MARK: Tools

    /// Writes a program that stands for a tool; returns the search path on which it is found.
    private func fakeTool(_ name: String, _ script: String, in directory: String) throws -> String {
        let bin = directory + "/bin"
        try FileManager.default.createDirectory(atPath: bin, withIntermediateDirectories: true)
        try write(bin + "/" + name, Array("#!/bin/sh\n\(script)\n".utf8))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: bin + "/" + name)
        return bin
    }

    private static func overlayRequest(_ directory: String) -> DiskRequest {
        DiskRequest(path: directory + "/disk", format: "qcow2", source: .blank, virtualSize: 1 << 20)
    }

    @Test func aFailingToolsWordsAndHalfMadeFileAreDealtWith() async throws {
        try await withTemporaryDirectory { directory in
            let script = "for last; do :; done; eval path=\\${$(($#-1))}; echo half > $path; echo broken >&2; exit 1"
            let bin = try fakeTool("qemu-img", script, in: directory)
            do {
                _ = try await images(searchPath: bin).createDisk(Self.overlayRequest(directory))
                Issue.record("the tool failed")
            } catch let error as BackendError {
                #expect(error.code == .internal)
                #expect(error.message.contains("broken"))
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory) == ["bin"])
        }
    }

    @Test func aToolWithoutEndIsStoppedAtItsDeadline() async throws {
        try await withTemporaryDirectory { directory in
            let bin = try fakeTool("qemu-img", "exec sleep 1000", in: directory)
            let images = images(searchPath: bin, deadline: .milliseconds(50))
            #expect(await code { _ = try await images.createDisk(Self.overlayRequest(directory)) } == .timeout)
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory) == ["bin"])
        }
    }

    @Test func cancellingStopsTheTool() async throws {
        try await withTemporaryDirectory { directory in
            let bin = try fakeTool("qemu-img", "echo > \(directory)/started; exec sleep 1000", in: directory)
            let images = images(searchPath: bin)
            // Cancelled and awaited below.
            let task = Task { await code { _ = try await images.createDisk(Self.overlayRequest(directory)) } }
            try await eventually { FileManager.default.fileExists(atPath: directory + "/started") }
            task.cancel()
            #expect(await task.value == .cancelled)
        }
    }
}

@Suite(.timeLimit(.minutes(5)), .enabled(if: images().hasQemuImg, "needs qemu-img (package qemu-utils)"))
struct QemuImgTests {
    @Test func overlayGrowsAndKnowsItsBase() async throws {
        try await withTemporaryDirectory { directory in
            let images = images()
            #expect(images.diskFormats == ["qcow2", "raw"])
            try writeImage(directory + "/base.raw", size: 8 << 20)
            let image = try await images.rawImage(directory + "/base.raw")
            let path = directory + "/disk"
            let info = try await images.createDisk(
                DiskRequest(path: path, format: "qcow2", source: .overlay(image), virtualSize: 64 << 20)
            )
            #expect(info.format == "qcow2")
            #expect(info.virtualSize == 64 << 20)
            #expect(info.backingFile == image.path)
            try await images.resizeDisk(path, virtualSize: 128 << 20)
            #expect(try await images.diskInfo(path).virtualSize == 128 << 20)
        }
    }

    @Test func exportIsSelfContained() async throws {
        try await withTemporaryDirectory { directory in
            let images = images()
            try writeImage(directory + "/base.raw", size: 8 << 20)
            let image = try await images.rawImage(directory + "/base.raw")
            _ = try await images.createDisk(
                DiskRequest(path: directory + "/disk", format: "qcow2", source: .overlay(image), virtualSize: nil)
            )
            let info = try await images.exportDisk(directory + "/disk", to: directory + "/snapshot", format: "raw")
            #expect(info.backingFile == nil)
            let isSame = try read(directory + "/snapshot") == read(directory + "/base.raw")
            #expect(isSame)
        }
    }

    /// A guest owns every byte of its raw disk, also those where other formats name their backing file.
    @Test func whatAGuestWritesIntoItsRawDiskIsNeverBelieved() async throws {
        try await withTemporaryDirectory { directory in
            let images = images()
            try write(directory + "/secret.raw", [UInt8](repeating: 0x53, count: 65_536))
            let disk = directory + "/disk"
            _ = try await images.createDisk(
                DiskRequest(path: disk, format: "raw", source: .blank, virtualSize: 1 << 20)
            )
            _ = try await runCommand(
                "qemu-img",
                ["create", "-q", "-f", "qcow2", "-b", directory + "/secret.raw", "-F", "raw", directory + "/made"]
            )
            let file = try FileHandle(forWritingTo: URL(fileURLWithPath: disk))
            try file.write(contentsOf: Data(try read(directory + "/made").prefix(1 << 20)))
            try file.close()
            let info = try await images.exportDisk(disk, known: "raw", to: directory + "/snap", format: "raw")
            #expect(info.format == "raw")
            #expect(info.backingFile == nil)
            let isVerbatim = try read(directory + "/snap") == read(disk)
            #expect(isVerbatim)
            #expect(try await images.diskInfo(disk, known: "raw").virtualSize == info.virtualSize)
            // As an image, which nobody vouches for, it is what its content says.
            try FileManager.default.moveItem(atPath: directory + "/snap", toPath: directory + "/snap.raw")
            #expect(try await images.diskInfo(directory + "/snap.raw").backingFile != nil)
            // A disk that begins like an archive or an encrypted volume is a disk.
            for magic: [UInt8] in [Array("LUKS".utf8) + [0xBA, 0xBE], [0x1F, 0x8B], Array("KDMV".utf8)] {
                try write(disk, magic + [UInt8](repeating: 0, count: 4096 - magic.count))
                #expect(try await images.diskInfo(disk, known: "raw").format == "raw")
            }
        }
    }

    @Test(arguments: ["qcow2", "vhdx", "vpc"])
    func copyConverts(format: String) async throws {
        try await withTemporaryDirectory { directory in
            let images = images()
            try writeImage(directory + "/base.raw", size: 8 << 20)
            let image = try await images.rawImage(directory + "/base.raw")
            let info = try await images.createDisk(
                DiskRequest(path: directory + "/disk", format: format, source: .copy(image), virtualSize: nil)
            )
            #expect(info.format == format)
            #expect(info.virtualSize == 8 << 20)
            let back = try await images.exportDisk(directory + "/disk", to: directory + "/back", format: "raw")
            #expect(back.virtualSize == 8 << 20)
            let isSame = try read(directory + "/back") == read(directory + "/base.raw")
            #expect(isSame)
        }
    }
}

@Suite(.timeLimit(.minutes(5)), .enabled(if: images().hasXorriso, "needs xorriso (package xorriso)"))
struct ConfigDriveTests {
    @Test func driveHasTheLabelAndTheFiles() async throws {
        try await withTemporaryDirectory { directory in
            let path = directory + "/configdrive.iso"
            let files = [
                ConfigDriveFile(path: "openstack/latest/meta_data.json", content: Array("{\"uuid\": 1}".utf8)),
                ConfigDriveFile(path: "openstack/latest/user_data", content: [0, 1, 2, 255]),
                ConfigDriveFile(path: "openstack/content/0000", content: []),
            ]
            try await images().buildConfigDrive(files, at: path)
            let image = try read(path)
            #expect(
                String(decoding: image[32808..<32840], as: UTF8.self).hasPrefix("CONFIG-2")
                    || String(decoding: image[32808..<32840], as: UTF8.self).hasPrefix("config-2")
            )
            let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
            #expect(mode == 0o600)
            // Rock Ridge names in the primary tree, and the content itself.
            let content = Data(image)
            #expect(content.range(of: Data("meta_data.json".utf8)) != nil)
            #expect(content.range(of: Data("{\"uuid\": 1}".utf8)) != nil)
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory) == ["configdrive.iso"])
        }
    }

    @Test(arguments: [
        "", "/etc/passwd", "../x", "a/../../x", "a//b", "a/./b", "a/", "a\0b", "a\\b",
        String(repeating: "x", count: 200), "1/2/3/4/5/6/7/8/9",
    ])
    func pathsThatLeaveTheDriveAreRefused(path: String) async throws {
        try await withTemporaryDirectory { directory in
            let files = [ConfigDriveFile(path: path, content: [1])]
            let answer = await code { try await images().buildConfigDrive(files, at: directory + "/iso") }
            #expect(answer == .invalidArgument)
            let left = try FileManager.default.contentsOfDirectory(atPath: directory)
            #expect(left == [])
        }
    }

    @Test func entriesThatCollideAreRefused() async throws {
        try await withTemporaryDirectory { directory in
            for paths in [["a", "a"], ["a", "a/b"], ["a/b", "a"]] {
                let files = paths.map { ConfigDriveFile(path: $0, content: []) }
                let answer = await code { try await images().buildConfigDrive(files, at: directory + "/iso") }
                #expect(answer == .invalidArgument, "\(paths)")
            }
        }
    }
}
