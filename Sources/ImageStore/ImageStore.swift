package import DiskImages
import HTTPClient
package import HostBackend
package import Logging
import Support
import Synchronization

/// The images of the hosts that share a directory: those that somebody put there, by name, and those fetched from a
/// `file`, `http` or `https` URL that the configuration allows.
///
/// Nothing becomes an image before it was inspected under limits (``ImageInspector``) and its checksums are right.
/// Fetched images lie in a cache below the directory, each under a key made of its source and its checksums, and never
/// change. All who ask for one at the same time wait for the same fetch, also in other processes that share the
/// directory. A file comes into being under another name, is synced and renamed: whatever happens, the final name
/// stands for a whole, checked image. What a killed process has left is continued, or else removed later.
///
/// Calls may come from any task in parallel. Cancelling a caller ends its waiting, and the fetch if nobody else waits.
/// Errors are ``BackendError``, with the image's reference in the text: `notFound` (there is none), `invalidArgument`
/// (it, or its reference, is not acceptable), `unauthorized` (the server wants other credentials),
/// `resourceExhausted` (no room), `timeout` (its source does not answer as it should, now), `cancelled`, `internal`.
package final class ImageStore: Sendable {
    let disks: DiskImages
    let logger: Logger
    private let settingsBox: Mutex<ImageStoreSettings>
    private let client = Mutex<(settings: HTTPSettings, client: HTTPClient)?>(nil)
    private let flights = SingleFlight<Cached>()
    private let verdicts = FileFacts<ImageInspector.Verdict>()
    private let sums = FileFacts<[String: String]>()
    let slots: Slots
    let service: (any ImageService)?
    /// The directories that hold a directory for each instance of a host of this process.
    let instanceRoots: @Sendable () -> [String]

    /// What a flight brings: a whole image in the cache.
    struct Cached: Sendable {
        var path: String
        var bytes: UInt64
        var verdict: ImageInspector.Verdict
    }

    /// - Parameters:
    ///   - service: where images of an unknown name that is an identifier come from.
    ///   - instanceRoots: where ageing looks for disks that are layers over images.
    package init(
        settings: ImageStoreSettings,
        disks: DiskImages,
        service: (any ImageService)? = nil,
        instanceRoots: @escaping @Sendable () -> [String] = { [] },
        logger: Logger
    ) {
        self.settingsBox = Mutex(settings)
        self.disks = disks
        self.service = service
        self.slots = Slots(settings.maximumFetches)
        self.instanceRoots = instanceRoots
        self.logger = logger
    }

    /// May be replaced at any time; ``ImageStoreSettings/maximumFetches`` stays as it was at the start.
    package var settings: ImageStoreSettings {
        get { settingsBox.withLock { $0 } }
        set { settingsBox.withLock { $0 = newValue } }
    }

    /// The image of that name or URL, without conditions.
    package func image(_ reference: String) async throws -> ImageInfo {
        try await image(ImageRequest(reference))
    }

    /// The image, fetched if need be, and checked against what the request says of it.
    package func image(_ request: ImageRequest) async throws -> ImageInfo {
        let label = ImageLocation.label(request.reference)
        do {
            let request = try request.takingFragment()
            let conditions = try ImageConditions(request)
            switch try ImageLocation(request.reference) {
            case .name(let name):
                if let info = try await named(name, conditions) { return info }
                if service != nil, ImageLocation.isIdentifier(name) {
                    return try await fetched(request, .service(name.lowercased()), nil, conditions)
                }
                guard let location = request.location else { throw BackendError(.notFound, "there is none") }
                return try await fetched(request, at: try ImageLocation(location), conditions)
            case let location:
                return try await fetched(request, at: location, conditions)
            }
        } catch let error as BackendError {
            throw BackendError(error.code, "image \(label): \(error.message)", cause: error.cause)
        } catch is CancellationError {
            throw BackendError(.cancelled, "image \(label): the request was cancelled")
        } catch {
            throw BackendError(.internal, "image \(label)", cause: error)
        }
    }

    // MARK: In the directory

    private func named(_ name: String, _ conditions: ImageConditions) async throws -> ImageInfo? {
        let directory = settings.directory
        let found = try await disks.work.run { _ in
            try ImageReference.find(name, in: directory).flatMap { found in
                try FileCalls.status(found.path).map { (found, $0) }
            }
        }
        guard let (file, status) = found else { return nil }
        try conditions.check(size: status.size)
        let verdict = try await verdict(file.path, status)
        if let declared = file.declared, declared != verdict.format {
            throw BackendError(
                .invalidArgument,
                "it is declared as \(declared.rawValue) and is \(verdict.format.rawValue)"
            )
        }
        try conditions.check(format: verdict.format)
        try await checkSums(file.path, status, conditions)
        return ImageInfo(
            reference: name,
            path: file.path,
            format: verdict.format.rawValue,
            virtualSize: verdict.virtualSize
        )
    }

    /// Computes what was not computed before; the whole file is read once for all algorithms together.
    private func checkSums(
        _ path: String,
        _ status: FileCalls.Status,
        _ conditions: ImageConditions
    ) async throws {
        guard !conditions.checksums.isEmpty else { return }
        var known = sums[status] ?? [:]
        let missing = Set(conditions.checksums.keys).subtracting(known.keys)
        if !missing.isEmpty {
            known.merge(try await disks.work.run { try ContentDigest.file(path, missing, $0) }) { $1 }
            // A file that changed meanwhile has another identity, under which nothing is known.
            sums[status] = known
        }
        try conditions.check(known)
    }

    // MARK: Fetched

    private func fetched(
        _ request: ImageRequest,
        at location: ImageLocation,
        _ conditions: ImageConditions
    ) async throws -> ImageInfo {
        try await fetched(request, try await source(location, settings), location.declared, conditions)
    }

    private func fetched(
        _ request: ImageRequest,
        _ source: FetchSource,
        _ declared: DiskFormat?,
        _ conditions: ImageConditions
    ) async throws -> ImageInfo {
        let settings = settings
        if settings.requiresChecksum, conditions.checksums.isEmpty {
            throw BackendError(.invalidArgument, "no checksum is known, and images are not fetched without")
        }
        let conditions = conditions.expecting(declared)
        let entry = try CacheEntry(
            directory: settings.cacheDirectory,
            identity: source.identity + conditions.checksums.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        )
        // An image is removed between the end of its fetch and its use only if ageing is set to no age at all.
        for _ in 0..<3 {
            let cached = try await flights.run(entry.key) {
                try await self.obtain(entry, source, conditions, request.reference)
            }
            try conditions.check(size: cached.bytes)
            try conditions.check(format: cached.verdict.format)
            guard try await claim(entry, cached, for: request.user) else { continue }
            return ImageInfo(
                reference: request.reference,
                path: cached.path,
                format: cached.verdict.format.rawValue,
                virtualSize: cached.verdict.virtualSize
            )
        }
        throw BackendError(.busy, "it is removed again as soon as it is there")
    }

    /// The image from the cache, or into it.
    private func obtain(
        _ entry: CacheEntry,
        _ source: FetchSource,
        _ conditions: ImageConditions,
        _ reference: String
    ) async throws -> Cached {
        if let cached = try await present(entry) { return cached }
        let settings = settings
        do {
            return try await withDeadline(settings.fetchTimeout) {
                try await self.slots.run {
                    let lock = try await self.lock(entry, .exclusive)
                    defer { withExtendedLifetime(lock) {} }
                    if let cached = try await self.present(entry) { return cached }
                    return try await self.fetch(entry, source, conditions, reference, settings)
                }
            }
        } catch is DeadlineExceeded {
            throw BackendError(.timeout, "it could not be fetched within \(settings.fetchTimeout)")
        }
    }

    private func present(_ entry: CacheEntry) async throws -> Cached? {
        guard let found = try await disks.work.run({ _ in try entry.find() }) else { return nil }
        let verdict = try await verdict(found.path, found.status)
        return Cached(path: found.path, bytes: found.status.size, verdict: verdict)
    }

    /// What the file is, inspected once for as long as it stays as it is.
    func verdict(_ path: String, _ status: FileCalls.Status) async throws -> ImageInspector.Verdict {
        if let known = verdicts[status] { return known }
        let limit = settings.maximumVirtualSize
        let verdict = try await ImageInspector(maximumVirtualSize: limit, disks: disks).inspect(path)
        verdicts[status] = verdict
        return verdict
    }

    /// Notes who uses the image, and that it was used now.
    ///
    /// - Returns: `false` when the image is gone.
    private func claim(_ entry: CacheEntry, _ cached: Cached, for user: String?) async throws -> Bool {
        let lock = try await lock(entry, .shared)
        defer { withExtendedLifetime(lock) {} }
        return try await disks.work.run { _ in
            guard try FileCalls.status(cached.path) != nil else { return false }
            if let user { try ImageUsers(entry).add(directory: user) }
            try CacheFiles.touch(entry.lastUse)
            return true
        }
    }

    /// Waits for the lock; nobody holds it longer than a fetch takes.
    func lock(_ entry: CacheEntry, _ kind: FileLock.Kind) async throws -> FileLock {
        var backoff = Backoff(initial: .milliseconds(5), maximum: .milliseconds(250))
        while true {
            let lock = try await disks.work.run { _ in
                try CacheEntry.prepare(entry.directory)
                return try FileLock.attempt(entry.lock, kind)
            }
            if let lock { return lock }
            try await Task.sleep(for: backoff.next())
        }
    }

    func http(_ settings: HTTPSettings) throws -> HTTPClient {
        try client.withLock { client in
            if let client, client.settings == settings { return client.client }
            let made = try HTTPClient(settings: settings, logger: logger)
            client = (settings, made)
            return made
        }
    }
}
