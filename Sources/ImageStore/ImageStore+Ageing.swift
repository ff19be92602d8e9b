import DiskImages
import HostBackend
import Logging
import Support

extension ImageStore {
    /// What one look at the cache came to.
    package struct AgeingReport: Sendable, Hashable {
        package var used = 0
        /// Unused, and not yet old enough.
        package var young = 0
        package var removed: [String] = []
        package var removedBytes: UInt64 = 0
    }

    /// Looks for unused images in the background until the task is cancelled.
    package func run() async {
        while !Task.isCancelled {
            let interval = settings.ageingInterval
            do {
                try await Task.sleep(for: interval ?? .seconds(60))
            } catch {
                return
            }
            guard interval != nil else { continue }
            do {
                _ = try await removeUnused()
            } catch {
                if Task.isCancelled { return }
                logger.warning("unused images not removed", metadata: ["error": "\(error)"])
            }
        }
    }

    /// Removes fetched images that no instance uses and that were last used longer ago than
    /// ``ImageStoreSettings/minimumAge``.
    ///
    /// An image counts as used while the directory of an instance that asked for it exists, and while any disk of any
    /// instance of this process's hosts is a layer over it. When it cannot be told for sure, nothing is removed.
    @discardableResult
    package func removeUnused() async throws -> AgeingReport {
        let settings = settings
        let roots = instanceRoots()
        let report = try await disks.work.run { cancellation in
            try CacheAgeing(settings: settings, logger: self.logger).run(roots: roots, cancellation)
        }
        logger.log(
            level: report.removed.isEmpty ? .debug : .info,
            "image cache looked through",
            metadata: [
                "used": "\(report.used)", "young": "\(report.young)", "removed": "\(report.removed.count)",
                "bytes": "\(report.removedBytes)",
            ]
        )
        return report
    }
}

/// One pass over a cache directory; blocks.
private struct CacheAgeing {
    let settings: ImageStoreSettings
    let logger: Logger

    private var directory: String { settings.cacheDirectory }

    func run(
        roots: [String],
        _ cancellation: FileWork.Cancellation
    ) throws(BackendError) -> ImageStore.AgeingReport {
        var report = ImageStore.AgeingReport()
        let keys = Set(try FileCalls.names(in: directory).compactMap { CacheEntry.key(of: $0) })
            .union(try FileCalls.names(in: directory + "/locks").compactMap { CacheEntry.key(of: $0) })
        guard !keys.isEmpty else { return report }
        // First those who said that they use an image, then the disks that do: an instance that moves between the two
        // looks is found by one of them.
        var claimed: Set<String> = []
        var gone: [ImageUsers.User] = []
        for key in keys {
            try cancellation.check()
            for user in try ImageUsers(entry(key)).all() {
                if try ImageUsers.isGone(user) { gone.append(user) } else { claimed.insert(key) }
            }
        }
        let layered = try BackingScan(keys: keys).run(roots, cancellation)
        for user in gone { try FileCalls.remove(user.path) }
        for key in keys.sorted() {
            try cancellation.check()
            let entry = entry(key)
            if claimed.contains(key) || layered.contains(key) {
                report.used += 1
                // The age counts from the last time that it was seen in use.
                if try entry.find() != nil { try CacheFiles.touch(entry.lastUse) }
            } else {
                try remove(entry, &report)
            }
        }
        return report
    }

    private func entry(_ key: String) -> CacheEntry { CacheEntry(directory: directory, key: key) }

    /// Removes an entry that nobody used at the time of the looks, unless somebody does since.
    private func remove(_ entry: CacheEntry, _ report: inout ImageStore.AgeingReport) throws(BackendError) {
        guard let lock = try FileLock.attempt(entry.lock, .exclusive) else {
            report.used += 1
            return
        }
        defer { withExtendedLifetime(lock) {} }
        let image = try entry.find()
        guard try ImageUsers(entry).all().isEmpty else {
            report.used += 1
            return
        }
        guard try age(of: entry) >= settings.minimumAge, settings.removesUnused || image == nil else {
            report.young += image == nil ? 0 : 1
            return
        }
        if let image {
            try FileCalls.remove(image.path)
            report.removed.append(image.path)
            report.removedBytes += image.status.occupied
            logger.info("unused image removed", metadata: ["path": "\(image.path)"])
        }
        for path in [entry.partial, entry.partialRecord, entry.record, entry.lastUse] { try FileCalls.remove(path) }
        try FileCalls.removeTree(entry.users)
        try FileCalls.remove(entry.lock)
    }

    /// Since the youngest of its files was touched.
    private func age(of entry: CacheEntry) throws(BackendError) -> Duration {
        var youngest: Int64 = 0
        for path in [entry.lastUse, entry.partial, entry.partialRecord] {
            if let status = try FileCalls.status(path) { youngest = max(youngest, status.modified) }
        }
        return .nanoseconds(max(0, CacheFiles.now() - youngest))
    }
}

/// Finds which images of the cache are below disks of instances.
private struct BackingScan {
    private static let maximumDepth = 4

    let keys: Set<String>

    func run(_ roots: [String], _ cancellation: FileWork.Cancellation) throws(BackendError) -> Set<String> {
        var found: Set<String> = []
        for root in roots { try scan(root, Self.maximumDepth, &found, cancellation) }
        return found
    }

    private func scan(
        _ path: String,
        _ depth: Int,
        _ found: inout Set<String>,
        _ cancellation: FileWork.Cancellation
    ) throws(BackendError) {
        for name in try FileCalls.names(in: path) {
            try cancellation.check()
            let child = path + "/" + name
            // What vanishes meanwhile belongs to an instance that is being destroyed.
            guard let status = try FileCalls.status(child) else { continue }
            if status.isDirectory, depth > 0 {
                try scan(child, depth - 1, &found, cancellation)
            } else if status.isRegular, status.size >= 512 {
                try look(child, &found)
            }
        }
    }

    private func look(_ path: String, _ found: inout Set<String>) throws(BackendError) {
        let backing: String?
        do throws(BackendError) {
            backing = try DiskImages.inspect(path).backing
        } catch  where error.code == .notFound || error.code == .invalidArgument {
            // Gone, or no disk of a kind that can be a layer.
            return
        }
        guard let backing else { return }
        // The name may be a path, a relative one, or a description in JSON: the key stands in all of them.
        for key in keys where backing.contains(key) { found.insert(key) }
    }
}
