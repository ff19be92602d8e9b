package import HostBackend

extension DiskImages {
    /// Makes a directory and whatever above it is missing.
    package func prepare(_ directory: String) async throws {
        try Self.check(path: directory)
        try await work.run { _ in try FileCalls.makeDirectories(directory) }
    }

    /// The room that the disks may come to need, in GB, rounded up; volumes and config drives need none here.
    ///
    /// - Throws: `notFound` when any of the disks, volumes included, is missing.
    package func totalGB(of disks: [DiskAttachment]) async throws -> Int {
        var bytes: UInt64 = 0
        for disk in disks {
            let info = try await diskInfo(disk.path, known: disk.format)
            if disk.role == .root || disk.role == .ephemeral { bytes += info.virtualSize }
        }
        return Int((bytes + (1 << 30) - 1) >> 30)
    }

    /// What the file system says of each path; `nil` for a missing file.
    package func status(of paths: [String]) async throws -> [FileCalls.Status?] {
        try await work.run { _ in try paths.map { try FileCalls.status($0) } }
    }

    /// Removes files; missing ones are fine. Goes on over failures and throws the first.
    package func removeFiles(_ paths: [String]) async throws {
        try await work.run { _ in
            var failure: (any Error)?
            for path in paths {
                do { try FileCalls.remove(path) } catch { failure = failure ?? error }
            }
            if let failure { throw failure }
        }
    }
}
