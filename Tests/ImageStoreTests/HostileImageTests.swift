import DiskImages
import Foundation
import HostBackend
import ImageStore
import Support
import TestSupport
import Testing

/// Files that must not become images, by name and by fetch.
@Suite(.timeLimit(.minutes(5))) struct HostileImageTests {
    /// Refused under every way in, leaving nothing behind.
    private func expectRefusal(
        _ words: String,
        _ name: String = "image",
        sourceLocation: SourceLocation = #_sourceLocation,
        _ makeFile: (_ path: String) async throws -> Void
    ) async throws {
        try await StoreBox.with { box in
            let path = box.images + "/" + name
            try await makeFile(path)
            try FileManager.default.copyItem(atPath: path, toPath: box.files + "/" + name)
            for reference in [name, "file://\(box.files)/\(name)"] {
                let error = await failure { _ = try await box.store.image(reference) }
                #expect(error?.code == .invalidArgument, sourceLocation: sourceLocation)
                #expect(
                    error?.message.contains(words) == true,
                    "\(error?.message ?? "")",
                    sourceLocation: sourceLocation
                )
                #expect(error?.message.contains(name) == true, sourceLocation: sourceLocation)
            }
            #expect(box.content() == [], sourceLocation: sourceLocation)
        }
    }

    /// A sound header of version 3 for 1 GiB, tables in the file; changed as wished.
    private func header(_ change: (inout [UInt8]) -> Void) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 4 << 16)
        func put(_ value: UInt64, _ offset: Int, _ count: Int) {
            for position in 0..<count {
                bytes[offset + position] = UInt8(value >> UInt64(8 * (count - 1 - position)) & 255)
            }
        }
        put(0x5146_49FB, 0, 4)
        put(3, 4, 4)
        put(16, 20, 4)
        put(1 << 30, 24, 8)
        put(2, 36, 4)
        put(3 << 16, 40, 8)
        put(1 << 16, 48, 8)
        put(1, 56, 4)
        put(4, 96, 4)
        put(104, 100, 4)
        change(&bytes)
        return bytes
    }

    private func withHeader(_ words: String, _ change: @escaping (inout [UInt8]) -> Void) async throws {
        try await expectRefusal(words) { try write($0, header(change)) }
    }

    @Test(.enabled(if: disks.hasQemuImg, "needs qemu-img"))
    func theHeaderTheseTestsChangeIsASoundOne() async throws {
        try await StoreBox.with { box in
            try write(box.images + "/image", header { _ in })
            #expect(try await box.store.image("image").virtualSize == 1 << 30)
        }
    }

    @Test func headersThatAskForMoreThanThereIsAreRefused() async throws {
        // The first table: 4 billion entries, one that is too small, one outside of the file.
        try await withHeader("a table of 4294967295 entries") {
            $0.replaceSubrange(36..<40, with: [255, 255, 255, 255])
        }
        try await withHeader("a table of 1 entries") { $0[39] = 1 }
        try await withHeader("first table lies outside") { $0[40] = 0x70 }
        try await withHeader("first table lies outside") { $0[44] = 0xFF }
        try await withHeader("a reference table of") { $0[56] = 0xFF }
        try await withHeader("reference table lies outside") { $0[50] = 1 }
        try await withHeader("snapshots") { $0[60] = 0xFF }
        try await withHeader("snapshot table lies outside") { $0[63] = 1 }
        try await withHeader("impossible size") { $0[20] = 1 }
        try await withHeader("impossible size") { $0[23] = 30 }
        try await withHeader("an impossible size") { $0[24] = 0xFF }
        try await withHeader("endless header extensions") {
            $0.replaceSubrange(104..<112, with: [1, 2, 3, 4, 255, 255, 255, 255])
        }
        try await withHeader("not known") { $0[79] = 0x80 }
        try await withHeader("marked as corrupt") { $0[79] = 2 }
        try await withHeader("damaged") { $0[7] = 9 }
    }

    @Test func headersThatReferToOtherFilesAreRefused() async throws {
        try await withHeader("backing file") { bytes in
            bytes[14] = 2
            bytes[19] = 11
            bytes.replaceSubrange(512..<523, with: Array("/etc/passwd".utf8))
        }
        // Names without a place, and places without a name, are no way around.
        try await withHeader("backing file") { $0[14] = 2 }
        try await withHeader("backing file") { $0[19] = 11 }
        try await withHeader("backing file") { bytes in
            bytes.replaceSubrange(104..<115, with: [0xE2, 0x79, 0x2A, 0xCA, 0, 0, 0, 3] + Array("raw".utf8))
        }
        try await withHeader("data file") { $0[79] = 4 }
        try await withHeader("data file") { bytes in
            bytes.replaceSubrange(104..<123, with: [0x44, 0x41, 0x54, 0x41, 0, 0, 0, 11] + Array("/etc/passwd".utf8))
        }
        try await withHeader("encrypted") { $0[35] = 2 }
        try await withHeader("encrypted") { $0.replaceSubrange(104..<108, with: [5, 0x37, 0xBE, 0x77]) }
    }

    @Test(.enabled(if: disks.hasQemuImg, "needs qemu-img"))
    func imagesOfQemuImgThatReferToOthersAreRefused() async throws {
        try await withTemporaryDirectory { directory in
            let base = directory + "/base.raw"
            try write(base, [UInt8](repeating: 0, count: 1 << 20))
            try await expectRefusal("backing file") { path in
                try await make("qcow2", path, ["-b", base, "-F", "raw"])
            }
            try await expectRefusal("data file") { path in
                try await make("qcow2", path, ["-o", "data_file=\(directory)/data,data_file_raw=on"])
            }
            let secret = [
                "--object", "secret,id=s,data=geheim", "-o",
                "encrypt.format=aes,encrypt.key-secret=s",
            ]
            try await expectRefusal("encrypted") { path in try await make("qcow2", path, secret) }
        }
    }

    @Test(.enabled(if: disks.hasQemuImg, "needs qemu-img"), arguments: ["vmdk", "vdi", "qed"])
    func otherFormatsDoNotPassForRaw(format: String) async throws {
        try await expectRefusal("is not accepted", "image.raw") { try await make(format, $0) }
    }

    /// By its magic alone: qemu-img makes one only on a machine that is quiet enough for it to time its ciphers.
    @Test func encryptedDisksDoNotPassForRaw() async throws {
        try await expectRefusal("is not accepted", "image.raw") { path in
            let header = Array("LUKS".utf8) + [0xBA, 0xBE, 0, 1]
            try write(path, header + [UInt8](repeating: 0, count: (1 << 20) - header.count))
        }
    }

    @Test(.enabled(if: disks.hasQemuImg, "needs qemu-img"))
    func extentsOfVMDKAreRefused() async throws {
        let text = "# Disk DescriptorFile\nversion=1\ncreateType=\"monolithicFlat\"\nRW 2048 FLAT \"/etc/passwd\" 0\n"
        try await expectRefusal("is not accepted", "image.img") { path in
            try write(path, Array(text.utf8) + [UInt8](repeating: 0, count: 2048))
        }
    }

    @Test(.enabled(if: disks.hasQemuImg, "needs qemu-img"))
    func extensionAndContentMustAgree() async throws {
        try await expectRefusal("declared as raw", "image.raw.raw") { path in
            try await make("qcow2", path)
        }
        try await expectRefusal("declared as qcow2", "image.qcow2") { path in
            try write(path, [UInt8](repeating: 1, count: 4096))
        }
    }

    @Test(.enabled(if: disks.hasQemuImg, "needs qemu-img"))
    func disksThatAreTooLargeAreRefused() async throws {
        try await expectRefusal("at most 2199023255552 are taken") { try await make("qcow2", $0, size: "3T") }
        try await expectRefusal("empty") { try write($0, []) }
    }

    @Test(.enabled(if: disks.hasQemuImg, "needs qemu-img"))
    func aLayerOfVHDIsRefused() async throws {
        try await expectRefusal("no fixed or dynamic VHD") { path in
            try await make("vpc", path, ["-o", "force_size=on"])
            var bytes = try read(path)
            bytes[bytes.count - 512 + 63] = 4
            try write(path, bytes)
        }
    }

    @Test(.enabled(if: disks.hasQemuImg, "needs qemu-img"), arguments: ["qcow2", "vpc", "vhdx", "raw"])
    func soundImagesOfAllFormatsPass(format: String) async throws {
        try await StoreBox.with { box in
            let name = format == "vpc" ? "image.vhd" : "image.\(format)"
            try await make(format, box.files + "/" + name, format == "vpc" ? ["-o", "force_size=on"] : [])
            let image = try await box.store.image("file://\(box.files)/\(name)")
            #expect(image.format == format)
            #expect(image.virtualSize == 16 << 20)
            let isSame = try read(image.path) == read(box.files + "/" + name)
            #expect(isSame)
        }
    }

    /// A program in place of qemu-img that eats what it can get.
    @Test(arguments: [
        "while :; do :; done",
        "python3 -c 'x = bytearray(4 << 30)'",
        "exec sleep 1000",
    ])
    func theInspectorIsHeldWithinLimits(script: String) async throws {
        try await withTemporaryDirectory { directory in
            let tool = directory + "/qemu-img"
            try write(tool, Array("#!/bin/sh\n\(script)\n".utf8))
            for path in [tool, directory] {
                try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
            }
            let limited = DiskImages(
                settings: DiskImages.Settings(qemuImgCommand: tool, shortDeadline: .seconds(2)),
                logger: quiet
            )
            let image = directory + "/image"
            try write(image, header { _ in })
            let error = await failure { _ = try await limited.untrustedInformation(image, .qcow2) }
            #expect(error?.code == .invalidArgument)
        }
    }

    @Test(.enabled(if: disks.hasQemuImg, "needs qemu-img"))
    func theInspectorRunsAsNobodyWithLimits() async throws {
        try await withTemporaryDirectory { directory in
            let tool = directory + "/qemu-img"
            let script = """
                #!/bin/sh
                printf '{"user": %s, "groups": "%s", "cpu": %s, "memory": %s, "arguments": "%s"}' \
                    "$(id -u)" "$(id -G)" "$(ulimit -t)" "$(ulimit -v)" "$*"
                """
            try write(tool, Array(script.utf8))
            for path in [tool, directory] {
                try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
            }
            let image = directory + "/image"
            try write(image, header { _ in })
            try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: image)
            let spy = DiskImages(settings: DiskImages.Settings(qemuImgCommand: tool), logger: quiet)
            let said = try await spy.untrustedInformation(image, .qcow2)
            #expect(said["user"]?.intValue == (geteuid() == 0 ? 65534 : Int64(geteuid())))
            #expect(said["cpu"]?.intValue == 30)
            #expect(said["memory"]?.intValue == 1 << 20)
            #expect(said["arguments"]?.stringValue?.contains("-f qcow2") == true)
        }
    }
}
