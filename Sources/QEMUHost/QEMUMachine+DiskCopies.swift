import HostBackend
import Logging
import Support

/// Disks on their way to a destination that shares no storage: mirrors of QEMU's, which go on until the guest stands
/// still (QEMU backend, section 7.2).
extension QEMUMachine {
    private static let jobPrefix = "move-"

    /// Copies all disks, and leaves their mirrors running.
    func copyDisks(
        _ disks: [TravellingMachine.Disk],
        _ way: ArrivalWay,
        isEncrypted: Bool,
        _ progress: (_ copied: UInt64, _ total: UInt64) async -> Void
    ) async throws {
        guard !disks.isEmpty else { return }
        guard let port = way.diskPort else {
            throw BackendError(.unavailable, "the destination of machine \(uuid) expects no disks")
        }
        for disk in disks { try await startCopy(disk, way, port, isEncrypted, disks.count) }
        var stillness = Stillness(limit: settings.migration.progressTimeout)
        var pause = Duration.milliseconds(5)
        while true {
            try await checkCopies(disks)
            let copies = try await copiedBytes(disks)
            await progress(copies.done, copies.total)
            if copies.areReady { return }
            try stillness.check(copies.done, uuid)
            try await Task.sleep(for: pause)
            pause = min(pause * 2, .milliseconds(200))
        }
    }

    private func startCopy(
        _ disk: TravellingMachine.Disk,
        _ way: ArrivalWay,
        _ port: Int,
        _ isEncrypted: Bool,
        _ count: Int
    ) async throws {
        guard let attachment = record.spec.disks.first(where: { $0.nodeName == disk.node }) else {
            throw BackendError(.invalidArgument, "machine \(uuid) has no disk \(disk.node)")
        }
        let target = Self.copyPrefix + disk.node
        var node: JSONObject = [
            "driver": "nbd", "node-name": .string(target), "export": .string(disk.node),
            "server": ["type": "inet", "host": .string(way.address), "port": .string(String(port))],
        ]
        if isEncrypted {
            node["tls-creds"] = .string(Self.certificatesName)
            node["tls-hostname"] = .string(way.tlsName ?? way.address)
        }
        // Connects and shakes hands, with a host that may be silent.
        try await execute("blockdev-add", node, deadline: settings.migration.progressTimeout)
        var job: JSONObject = [
            "job-id": .string(Self.jobPrefix + disk.node), "device": .string(disk.node), "target": .string(target),
            "auto-dismiss": false, "on-source-error": "report", "on-target-error": "report",
        ]
        if let bandwidth = settings.migration.bandwidth { job["speed"] = .int(Int64(max(1, bandwidth / count))) }
        if attachment.isReadOnly {
            job["sync"] = "full"
            try await execute("blockdev-backup", job)
        } else {
            job["sync"] = way.layers.contains(disk.node) ? "top" : "full"
            // What the guest writes meanwhile goes to both: so the copy comes to an end however much it writes.
            job["copy-mode"] = "write-blocking"
            try await execute("blockdev-mirror", job)
        }
    }

    private func jobs(_ disks: [TravellingMachine.Disk]) async throws(BackendError) -> [String: JSONValue] {
        var jobs: [String: JSONValue] = [:]
        let wanted = Set(disks.map { Self.jobPrefix + $0.node })
        for job in try await execute("query-jobs").arrayValue ?? [] {
            if let id = job["id"]?.stringValue, wanted.contains(id) { jobs[id] = job }
        }
        return jobs
    }

    /// How far all copies are.
    func copiedBytes(
        _ disks: [TravellingMachine.Disk]
    ) async throws(BackendError) -> (done: UInt64, total: UInt64, areReady: Bool) {
        guard !disks.isEmpty else { return (0, 0, true) }
        let jobs = try await jobs(disks)
        var (done, total): (UInt64, UInt64) = (0, 0)
        for job in jobs.values {
            done += UInt64(clamping: job["current-progress"]?.intValue ?? 0)
            total += UInt64(clamping: job["total-progress"]?.intValue ?? 0)
        }
        let areReady = jobs.values.allSatisfy { ["ready", "concluded"].contains($0["status"]?.stringValue) }
        return (done, total, areReady && jobs.count == disks.count)
    }

    /// Throws if a copy has failed.
    func checkCopies(_ disks: [TravellingMachine.Disk]) async throws {
        guard !disks.isEmpty else { return }
        let jobs = try await jobs(disks)
        for disk in disks {
            guard let job = jobs[Self.jobPrefix + disk.node] else {
                throw BackendError(.internal, "the copy of disk \(disk.node) of machine \(uuid) has vanished")
            }
            if let reason = job["error"]?.stringValue {
                throw BackendError(
                    reason.contains("No space left") ? .resourceExhausted : .unavailable,
                    "disk \(disk.node) of machine \(uuid) was not copied: \(reason)"
                )
            }
        }
    }

    /// The guest stands still: sends what its last writes were, and ends the copies.
    func finishCopies(_ disks: [TravellingMachine.Disk], _ limit: TimeLimit) async throws {
        guard !disks.isEmpty else { return }
        for disk in disks {
            // A mirror that is ready ends with an equal copy; a backup has ended by itself.
            let job: JSONObject = ["device": .string(Self.jobPrefix + disk.node)]
            do { try await execute("block-job-cancel", job) } catch { try Self.passRefusal(error) }
        }
        while true {
            try await checkCopies(disks)
            if try await jobs(disks).values.allSatisfy({ $0["status"] == "concluded" }) { break }
            guard !limit.isOver else {
                throw BackendError(.timeout, "the disks of machine \(uuid) were not copied to the end in time")
            }
            try await Task.sleep(for: .milliseconds(5))
        }
        for disk in disks {
            try await execute("job-dismiss", ["id": .string(Self.jobPrefix + disk.node)])
            try await removeNode(Self.copyPrefix + disk.node)
        }
    }

    /// Removes whatever QEMU still has of copies, also those of an earlier worker. Never waits for the other side.
    func discardCopies() async {
        await cutCopies()
        let ids = ((try? await execute("query-jobs"))?.arrayValue ?? [])
            .compactMap { $0["id"]?.stringValue }.filter { $0.hasPrefix(Self.jobPrefix) }
        for id in ids { _ = try? await execute("block-job-cancel", ["device": .string(id), "force": true]) }
        let limit = TimeLimit(settings.commandTimeout)
        while let jobs = (try? await execute("query-jobs"))?.arrayValue, !limit.isOver {
            let isOver = jobs.allSatisfy { job in
                !ids.contains(job["id"]?.stringValue ?? "") || job["status"] == "concluded"
            }
            if isOver { break }
            do { try await Task.sleep(for: .milliseconds(20)) } catch { break }
        }
        for id in ids { _ = try? await execute("job-dismiss", ["id": .string(id)]) }
        let nodes = ((try? await self.nodes()) ?? []).compactMap { $0["node-name"]?.stringValue }
        for node in nodes where node.hasPrefix(Self.copyPrefix) { try? await removeNode(node) }
    }

    /// Cuts the copies' connections. Through a link that swallows everything QEMU would wait for its answers for many
    /// minutes, all of it, at the first job that is to end.
    func cutCopies() async {
        for disk in record.spec.disks where disk.role != .volume {
            let instance: JSONValue = ["type": "block-node", "node-name": .string(Self.copyPrefix + disk.nodeName)]
            // Refused where there is none.
            _ = try? await execute("yank", ["instances": .array([instance])], isUrgent: true)
        }
    }
}
