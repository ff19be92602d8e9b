import DiskImages
import HTTPClient
import HostBackend
import ImageStore
import Logging
import Support
import Synchronization

import struct Configuration.HostSettings
import struct Configuration.Settings

/// The image stores of the process: one for each images directory, shared by the hosts that have it.
final class ImageStores: Sendable {
    private let stores = Mutex<[String: ImageStore]>([:])
    /// Where the instances of all hosts are.
    private let instanceRoots: [String]
    private let service: (any ImageService)?
    private let logger: Logger

    init(_ settings: Settings, service: (any ImageService)?, logger: Logger) {
        self.service = service
        instanceRoots = settings.hosts.map { $0.directory + "/instances" }
        self.logger = logger
    }

    /// - Throws: a `BackendError` that names the option.
    func store(_ host: HostSettings, _ settings: Settings) throws -> ImageStore {
        let directory = host.simulated.texts["images_path"].flatMap { $0.isEmpty ? nil : $0 } ?? settings.imagesPath
        let made = try ImageStoreSettings(settings, directory: directory)
        return stores.withLock { stores in
            if let store = stores[directory] { return store }
            let roots = instanceRoots
            let disks = DiskImages(
                settings: DiskImages.Settings(qemuImgCommand: host.hyperv.qemuImgCommand),
                logger: logger
            )
            let store = ImageStore(
                settings: made,
                disks: disks,
                service: service,
                instanceRoots: { roots },
                logger: logger
            )
            stores[directory] = store
            return store
        }
    }

    /// Removes unused images until the task is cancelled.
    func run() async {
        let all = stores.withLock { Array($0.values) }
        await withDiscardingTaskGroup { group in
            for store in all { group.addTask { await store.run() } }
        }
    }

    /// Puts options that may change at run time in force; ones that cannot be used change nothing and are logged.
    func apply(_ settings: Settings) {
        for (directory, store) in stores.withLock({ $0 }) {
            do {
                store.settings = try ImageStoreSettings(settings, directory: directory)
            } catch {
                logger.error("options of images not changed", metadata: ["error": "\(error)"])
            }
        }
    }
}

extension ImageStoreSettings {
    init(_ all: Settings, directory: String) throws {
        let settings = all.images
        self.init(directory: directory)
        cacheName = settings.cacheName
        sources = try settings.allowedSources.map { text in
            do throws(BackendError) {
                return try ImageSource(text)
            } catch {
                throw BackendError(.invalidArgument, "images.allowed_sources: \(error.message)")
            }
        }
        requiresChecksum = settings.requireChecksum
        maximumBytes = settings.maxFileBytes
        maximumVirtualSize = settings.maxVirtualBytes
        reserveBytes = settings.reserveBytes
        maximumFetches = settings.maxFetches
        attempts = settings.fetchAttempts
        fetchTimeout = settings.fetchTimeout
        deadlines = HTTPDeadlines(connect: settings.connectTimeout, stall: settings.stallTimeout, total: nil)
        http = HTTPSettings(
            caFile: settings.caFile,
            certificateFile: settings.certificateFile,
            keyFile: settings.keyFile,
            proxy: settings.proxy?.secret
        )
        removesUnused = settings.removeUnused
        minimumAge = settings.minimumAge
        ageingInterval = settings.ageingInterval
    }
}
