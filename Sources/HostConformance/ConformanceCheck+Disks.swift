import Glibc
import HostBackend

extension ConformanceCheck {
    static let disks = [
        ConformanceCheck("blank disks have the size asked for and are never overwritten", section: "7.3") { subject in
            let host = subject.host
            let request = try await blank("extra.disk", subject)
            let info = try await host.createDisk(request)
            try checkEqual(info.virtualSize, 16 << 20, "the size of the new disk")
            try checkEqual(try await host.diskInfo(request.path).format, request.format, "the format")
            try await checkFails(.alreadyExists, what: "a second disk of the name") {
                _ = try await host.createDisk(request)
            }
        },
        ConformanceCheck("a disk grows to the size asked for, and again", section: "7.3", needs: [.resizeDisks]) {
            subject in
            let request = try await blank("growing.disk", subject)
            _ = try await subject.host.createDisk(request)
            for _ in 1...2 { try await subject.host.resizeDisk(request.path, virtualSize: 32 << 20) }
            let size = try await subject.host.diskInfo(request.path).virtualSize
            try checkEqual(size, 32 << 20, "the size after growing")
        },
        ConformanceCheck(
            "a disk that cannot be made leaves no file, and one that is not there is not found",
            section: "7.3"
        ) {
            subject in
            let host = subject.host
            var request = try await blank("whole.disk", subject)
            _ = try await host.createDisk(request)
            request.path += "/below.disk"
            do {
                _ = try await host.createDisk(request)
                throw CheckFailure(expected: "disk.create below another disk fails", seen: "success")
            } catch is BackendError {
                request.path = try await blank("never-made.disk", subject).path
                try await checkFails(.notFound, what: "disk.info of a disk that is not there") {
                    _ = try await host.diskInfo(request.path)
                }
            }
            request = try await blank("odd.disk", subject)
            request.format = "no-such-format"
            try await checkFails(.invalidArgument, .unimplemented, what: "disk.create of the format no-such-format") {
                _ = try await host.createDisk(request)
            }
            try await checkFails(.notFound, what: "disk.info") { _ = try await host.diskInfo(request.path) }
        },
        ConformanceCheck("a config drive is an ISO 9660 image with its label", section: "7.3", needs: [.configDriveISO])
        {
            subject in
            let path = try await subject.newSpec("drive", bare: true).directory + "/config.iso"
            let files = [
                ConfigDriveFile(path: "openstack/latest/meta_data.json", content: Array("{}".utf8)),
                ConfigDriveFile(path: "openstack/latest/user_data", content: (0...255).map { UInt8($0) }),
            ]
            try await subject.host.buildConfigDrive(files, at: path)
            guard subject.hasLocalFiles else { return }
            // ISO 9660: the primary volume descriptor is sector 16; its identifier is at 1, the label at 40.
            let sector = try bytes(of: path, at: 16 * 2048, count: 72)
            try checkEqual(String(decoding: sector[1..<6], as: UTF8.self), "CD001", "the image's identifier")
            let label = String(decoding: sector[40..<72], as: UTF8.self)
            try check(label.lowercased().hasPrefix("config-2"), "the label config-2", seen: label.debugDescription)
        },
        ConformanceCheck(
            "the root disk is copied while the machine keeps its state",
            section: "7.2",
            needs: [.checkpoint]
        ) {
            subject in
            let host = subject.host
            try await subject.withRunning("exported") { spec in
                guard let root = spec.disks.first(where: { $0.role == .root }) else {
                    throw CheckSkipped("the machines of this check have no root disk")
                }
                let path = spec.directory + "/exported.disk"
                let info = try await host.exportRootDisk(spec.uuid, to: path, format: root.format)
                try check(info.backingFile == nil, "a copy without a parent", seen: info.backingFile ?? "")
                try checkEqual(try await host.diskInfo(path).format, root.format, "the copy's format")
                try checkEqual(try await host.machine(spec.uuid).state, .running, "the machine's state")
            }
        },
    ]

    static func blank(_ name: String, _ subject: any ConformanceSubject) async throws -> DiskRequest {
        guard let format = subject.host.capabilities.diskFormats.first else {
            throw CheckSkipped("the host names no format of disks")
        }
        let directory = try await subject.newSpec("disks", bare: true).directory
        return DiskRequest(path: directory + "/" + name, format: format, source: .blank, virtualSize: 16 << 20)
    }

    private static func bytes(of path: String, at offset: Int, count: Int) throws -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw CheckFailure(expected: "a file at \(path)", seen: "it cannot be opened") }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: count)
        guard pread(descriptor, &buffer, count, off_t(offset)) == count else {
            throw CheckFailure(expected: "\(offset + count) bytes in \(path)", seen: "fewer")
        }
        return buffer
    }
}
