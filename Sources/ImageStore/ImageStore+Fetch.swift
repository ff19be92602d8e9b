import DiskImages
import HTTPClient
import HostBackend
import JSONCodec
import Logging
import Support
import Synchronization

extension ImageStore {
    /// Brings the image into the cache; the entry's lock is held exclusively.
    func fetch(
        _ entry: CacheEntry,
        _ source: FetchSource,
        _ conditions: ImageConditions,
        _ reference: String,
        _ settings: ImageStoreSettings
    ) async throws -> Cached {
        let label = ImageLocation.label(reference)
        let started = ContinuousClock.now
        logger.info("image fetch begins", metadata: ["image": "\(label)", "source": "\(source.description)"])
        do {
            switch source {
            case .file(let file): try await copy(file, entry, settings)
            case .web(let url): try await download(url, entry, conditions, label, settings)
            case .service(let id): try await download(image: id, entry, conditions, label, settings)
            }
            let cached = try await commit(entry, source, conditions, label)
            logger.info(
                "image fetched",
                metadata: [
                    "image": "\(label)", "bytes": "\(cached.bytes)", "format": "\(cached.verdict.format.rawValue)",
                    "path": "\(cached.path)", "duration": "\(ContinuousClock.now - started)",
                ]
            )
            return cached
        } catch {
            // What a later try can go on with stays, until it is too old.
            let code = (error as? BackendError)?.code
            if code != .timeout, code != .cancelled, !(error is CancellationError) {
                drop(entry)
            }
            logger.warning("image not fetched", metadata: ["image": "\(label)", "reason": "\(error)"])
            throw error
        }
    }

    /// Not through `work`, which a cancelled task may ask in vain: removing two files is short.
    private func drop(_ entry: CacheEntry) {
        try? FileCalls.remove(entry.partial)
        try? FileCalls.remove(entry.partialRecord)
    }

    // MARK: From a file

    private func copy(_ file: OpenedFile, _ entry: CacheEntry, _ settings: ImageStoreSettings) async throws {
        try checkSize(file.status.size, settings)
        try await disks.work.run { cancellation in
            // Holes in the file take no room.
            let needed = min(file.status.size, file.status.occupied)
            let available = try CacheFiles.available(entry.directory)
            guard needed + settings.reserveBytes <= available else {
                throw BackendError(
                    .resourceExhausted,
                    "\(needed) bytes to come and \(settings.reserveBytes) to keep free, \(available) are left"
                )
            }
            try FileCalls.remove(entry.partialRecord)
            try FileCalls.remove(entry.partial)
            try FileCalls.copySparse(file.handle, to: entry.partial, cancellation)
        }
    }

    private func checkSize(_ size: UInt64, _ settings: ImageStoreSettings) throws(BackendError) {
        guard size <= settings.maximumBytes else {
            throw BackendError(.invalidArgument, "it has \(size) bytes, at most \(settings.maximumBytes) are taken")
        }
    }

    // MARK: From the web

    private func download(
        _ url: HTTPURL,
        _ entry: CacheEntry,
        _ conditions: ImageConditions,
        _ label: String,
        _ settings: ImageStoreSettings
    ) async throws {
        let sources = settings.sources
        let request = HTTPRequest(
            "GET",
            url,
            deadlines: settings.deadlines,
            mayFollow: { target in sources.contains { $0.allows(target) } }
        )
        do {
            try await download(request, try http(settings.http), entry, conditions, label, settings)
        } catch let error as HTTPError {
            throw Self.backendError(error)
        }
    }

    /// An image of the image service; its content is the same for ever.
    private func download(
        image id: String,
        _ entry: CacheEntry,
        _ conditions: ImageConditions,
        _ label: String,
        _ settings: ImageStoreSettings
    ) async throws {
        guard let service else { throw BackendError(.notFound, "there is none") }
        for isRefused in [false, true] {
            var request = try await service.request(for: id, isRefused: isRefused)
            request.deadlines = settings.deadlines
            let origin = request.url
            request.mayFollow = { $0.hasOrigin(of: origin) }
            let constant = conditions.checksums.isEmpty ? nil : HTTPValidator("\"\(id)\"")
            do {
                return try await download(request, service.client, entry, conditions, label, settings, constant)
            } catch let error as HTTPError {
                // The token has expired, which a second one would tell.
                guard error.status == 401, !isRefused else { throw Self.backendError(error) }
            }
        }
    }

    private func download(
        _ request: HTTPRequest,
        _ client: HTTPClient,
        _ entry: CacheEntry,
        _ conditions: ImageConditions,
        _ label: String,
        _ settings: ImageStoreSettings,
        _ constant: HTTPValidator? = nil
    ) async throws {
        if let size = conditions.size { try checkSize(size, settings) }
        let resume = try await disks.work.run { _ in
            try PartialRecord.validator(of: entry, isChecked: !conditions.checksums.isEmpty)
        }
        let progress = FetchProgress(label, logger)
        let download = HTTPDownload(
            request,
            to: entry.partial,
            resume: resume,
            constant: constant,
            maximumBytes: settings.maximumBytes,
            reserveBytes: settings.reserveBytes,
            attempts: settings.attempts,
            onStart: { try PartialRecord.write($0.validator, of: entry) },
            onProgress: { progress.report($0, $1) }
        )
        let result = try await client.download(download)
        if result.resumedFrom > 0 {
            logger.info("image fetch resumed", metadata: ["image": "\(label)", "from": "\(result.resumedFrom)"])
        }
        guard result.hasCertainEnd || !conditions.checksums.isEmpty || conditions.size != nil else {
            throw BackendError(.invalidArgument, "its server does not say where it ends, and no checksum is known")
        }
    }

    private static func backendError(_ error: HTTPError) -> BackendError {
        let code: BackendError.Code =
            switch error.code {
            case .status where error.status == 404 || error.status == 410: .notFound
            case .status where error.status == 401 || error.status == 403: .unauthorized
            case .tooLarge, .redirect, .invalidRequest: .invalidArgument
            case .noSpace: .resourceExhausted
            case .timeout, .unreachable, .interrupted: .timeout
            case .status where error.isRetriable: .timeout
            case .cancelled, .closed: .cancelled
            default: .internal
            }
        return BackendError(code, error.message)
    }

    // MARK: The end

    /// Checks what has come and gives it its name.
    private func commit(
        _ entry: CacheEntry,
        _ source: FetchSource,
        _ conditions: ImageConditions,
        _ label: String
    ) async throws -> Cached {
        let status = try await disks.work.run { cancellation in
            try CacheFiles.publish(entry.partial)
            guard let status = try FileCalls.status(entry.partial) else {
                throw BackendError(.internal, "what was fetched is gone")
            }
            try conditions.check(size: status.size)
            let wanted = Set(conditions.checksums.keys).union(["sha256"])
            let sums = try ContentDigest.file(entry.partial, wanted, cancellation)
            try conditions.check(sums)
            try Self.record(entry, source, label, status, sums)
            return status
        }
        let verdict = try await verdict(entry.partial, status)
        try conditions.check(format: verdict.format)
        let path = entry.image(verdict.format)
        try await disks.work.run { _ in
            try FileCalls.sync(entry.partial)
            try CacheFiles.touch(entry.lastUse)
            try FileCalls.rename(entry.partial, to: path)
            try FileCalls.syncDirectory(of: path)
            try FileCalls.remove(entry.partialRecord)
        }
        return Cached(path: path, bytes: status.size, verdict: verdict)
    }

    /// For people who wonder what the file is.
    private static func record(
        _ entry: CacheEntry,
        _ source: FetchSource,
        _ label: String,
        _ status: FileCalls.Status,
        _ sums: [String: String]
    ) throws {
        let document: JSONValue = [
            "image": .string(label),
            "source": .string(source.description),
            "bytes": .int(Int64(clamping: status.size)),
            "fetched_at": .int(CacheFiles.now() / 1_000_000_000),
            "checksums": .object(JSONObject(sums.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) })),
        ]
        try FileCalls.replace(entry.record, try JSONWriter.bytes(of: document), sync: false)
    }
}

/// Which version of its source a partial file is the beginning of.
enum PartialRecord {
    /// The version, if the partial file may be continued.
    ///
    /// After a power cut a file may have its length without its content. Only a checksum would find that out, so
    /// without one a partial file is continued only since the same boot.
    static func validator(of entry: CacheEntry, isChecked: Bool) throws(BackendError) -> HTTPValidator? {
        guard try FileCalls.status(entry.partialRecord) != nil else { return nil }
        let bytes = try FileCalls.read(entry.partialRecord, offset: 0, count: 16 << 10)
        guard let record = (try? JSONReader.read(bytes))?.objectValue,
            let validator = record["validator"]?.stringValue,
            isChecked || record["boot"]?.stringValue == boot
        else { return nil }
        return HTTPValidator(validator)
    }

    static func write(_ validator: HTTPValidator?, of entry: CacheEntry) throws {
        guard let validator else { return try FileCalls.remove(entry.partialRecord) }
        let record: JSONValue = ["validator": .string(validator.text), "boot": .string(boot)]
        try FileCalls.replace(entry.partialRecord, try JSONWriter.bytes(of: record), sync: false)
    }

    private static let boot = CacheFiles.line("/proc/sys/kernel/random/boot_id")
}

/// Tells the log how far a fetch has come, every ten seconds.
private final class FetchProgress: Sendable {
    private static let interval: Duration = .seconds(10)

    private let label: String
    private let logger: Logger
    private let last = Mutex(ContinuousClock.now)

    init(_ label: String, _ logger: Logger) {
        self.label = label
        self.logger = logger
    }

    func report(_ bytes: UInt64, _ total: UInt64?) {
        let isDue = last.withLock { last in
            let now = ContinuousClock.now
            guard now - last >= Self.interval else { return false }
            last = now
            return true
        }
        guard isDue else { return }
        logger.info(
            "image fetch goes on",
            metadata: ["image": "\(label)", "bytes": "\(bytes)", "total": "\(total.map(String.init) ?? "unknown")"]
        )
    }
}
