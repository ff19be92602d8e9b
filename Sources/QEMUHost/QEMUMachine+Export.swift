import DiskImages
import Glibc
import HostBackend
import Support

/// A copy of a disk while the guest goes on writing: a backup job of QEMU's, which copies what was there when it began.
extension QEMUMachine {
    private static let exportName: JSONValue = "export"
    /// How long an export may stand still.
    private static let stallTime = Duration.seconds(60)

    /// Writes the disk as it is now into a file that was made for it and that QEMU has no right to open. On failure
    /// QEMU keeps nothing of it; the file is the caller's.
    func export(_ disk: DiskAttachment, to path: String, format: String) async throws {
        // What an earlier worker has begun.
        await discardExport()
        let descriptor = try await services.work.run { _ in
            let descriptor = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW)
            guard descriptor >= 0 else {
                throw BackendError(.internal, "\(SystemCallError("open", errno, path: path))")
            }
            return descriptor
        }
        defer { close(descriptor) }
        do {
            let lent = try await execute("add-fd", ["opaque": Self.exportName], descriptor: descriptor)
            guard let set = lent["fdset-id"]?.intValue else {
                throw BackendError(.internal, "QEMU of machine \(uuid) does not tell where a file is")
            }
            let file: JSONObject = ["driver": "file", "filename": "/dev/fdset/\(set)"]
            try await execute(
                "blockdev-add",
                [
                    "driver": .string(format), "node-name": Self.exportName, "discard": "unmap",
                    "file": .object(file),
                ]
            )
            var job: JSONObject = [
                "job-id": Self.exportName, "device": .string(disk.nodeName), "target": Self.exportName,
                "sync": "full", "auto-dismiss": false, "on-source-error": "report", "on-target-error": "report",
            ]
            job["speed"] = settings.exportBandwidth.map { .int($0) }
            try await execute("blockdev-backup", job)
            try await untilExported()
            try await execute("job-dismiss", ["id": Self.exportName])
            // Only when the node is closed all of it is in the file.
            try await removeNode("export")
        } catch {
            await unlessCancelled { await self.discardExport() }
            throw error
        }
        await unlessCancelled { await self.returnFiles() }
    }

    /// Stops an export, out of its turn; it then fails with `cancelled`.
    func stopExport() async {
        guard process != nil else { return }
        _ = try? await execute("job-cancel", ["id": Self.exportName])
    }

    /// Removes whatever QEMU still has of an export.
    func discardExport() async {
        guard let job = try? await exportJob() else { return }
        if job != nil {
            await stopExport()
            let limit = TimeLimit(settings.commandTimeout)
            while let job = try? await exportJob(), job["status"] != "concluded", !limit.isOver {
                do { try await Task.sleep(for: .milliseconds(20)) } catch { return }
            }
            _ = try? await execute("job-dismiss", ["id": Self.exportName])
        }
        try? await removeNode("export")
        await returnFiles()
    }

    /// Closes files that were lent to QEMU. While the guest is paused it only marks them: whoever resumes it asks again.
    func returnFiles() async {
        for set in (try? await execute("query-fdsets"))?.arrayValue ?? [] {
            guard let id = set["fdset-id"] else { continue }
            let isOurs = set["fds"]?.arrayValue?.contains { $0["opaque"] == Self.exportName } ?? false
            if isOurs { _ = try? await execute("remove-fd", ["fdset-id": id]) }
        }
    }

    private func exportJob() async throws(BackendError) -> JSONValue? {
        try await execute("query-jobs").arrayValue?.first { $0["id"] == Self.exportName }
    }

    private func untilExported() async throws {
        var pause = Duration.milliseconds(5)
        var done: Int64 = -1
        var limit = TimeLimit(Self.stallTime)
        while true {
            guard let job = try await exportJob() else {
                throw BackendError(.internal, "the export of machine \(uuid) has vanished")
            }
            if job["status"] == "concluded" {
                guard let reason = job["error"]?.stringValue else { return }
                let code: BackendError.Code =
                    if reason.contains("No space left") {
                        .resourceExhausted
                    } else if reason.lowercased().contains("cancel") {
                        .cancelled
                    } else {
                        .internal
                    }
                throw BackendError(code, "a disk of machine \(uuid) was not exported: \(reason)")
            }
            if let progress = job["current-progress"]?.intValue, progress > done {
                done = progress
                limit = TimeLimit(Self.stallTime)
            }
            guard !limit.isOver else {
                throw BackendError(.timeout, "the export of a disk of machine \(uuid) stands still")
            }
            try await Task.sleep(for: pause)
            pause = min(pause * 2, .milliseconds(200))
        }
    }
}
