import DiskImages
import Foundation
import HTTPClient
import HostBackend
import ImageStore
import Logging
import TestSupport

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

let disks = DiskImages(logger: quiet)

/// An image store on an empty directory, and a place for images that may come from there.
struct StoreBox: Sendable {
    let root: String
    let store: ImageStore

    var images: String { root + "/images" }
    var cache: String { images + "/_base" }
    /// Files to fetch from lie here.
    var files: String { root + "/files" }
    var instances: String { root + "/instances" }

    static func with(
        sources: [String] = [],
        _ change: (inout ImageStoreSettings) -> Void = { _ in },
        _ body: (StoreBox) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory { root in
            for name in ["images", "files", "instances"] {
                try FileManager.default.createDirectory(atPath: root + "/" + name, withIntermediateDirectories: false)
            }
            try await body(try StoreBox(root: root, sources: sources + ["file://\(root)/files"], change))
        }
    }

    init(root: String, sources: [String], _ change: (inout ImageStoreSettings) -> Void = { _ in }) throws {
        self.root = root
        var settings = ImageStoreSettings(directory: root + "/images")
        settings.sources = try sources.map { try ImageSource($0) }
        settings.reserveBytes = 0
        change(&settings)
        let instances = root + "/instances"
        store = ImageStore(settings: settings, disks: disks, instanceRoots: { [instances] }, logger: quiet)
    }

    /// Writes a file to fetch from.
    @discardableResult
    func file(_ name: String, _ bytes: [UInt8]) throws -> String {
        try write(files + "/" + name, bytes)
        return "file://\(files)/\(name)"
    }

    /// Names in the cache, but for the directories of locks and users.
    func cached() -> [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: cache)) ?? []
        return names.filter { $0 != "locks" && $0 != "users" }.sorted()
    }

    /// Images and beginnings of images in the cache.
    func content() -> [String] {
        cached().filter { name in ["raw", "qcow2", "vhd", "vhdx", "part"].contains { name.hasSuffix("." + $0) } }
    }

    /// Makes the directory of an instance.
    func instance(_ name: String) throws -> String {
        let path = instances + "/" + name
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        return path
    }
}

func write(_ path: String, _ bytes: [UInt8]) throws { try Data(bytes).write(to: URL(filePath: path)) }

func read(_ path: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: URL(filePath: path))) }

func failure(_ body: () async throws -> Void) async -> BackendError? {
    do {
        try await body()
        return nil
    } catch {
        return error as? BackendError ?? BackendError(.internal, "\(error)")
    }
}

func code(_ body: () async throws -> Void) async -> BackendError.Code? { await failure(body)?.code }

/// Makes an image with qemu-img.
func make(_ format: String, _ path: String, size: String = "16M", _ more: [String] = []) async throws {
    _ = try await runCommand("qemu-img", ["create", "-q", "-f", format] + more + [path, size])
}

func checksum(_ path: String, _ algorithm: String) async throws -> ImageChecksum {
    let line = try await runCommand(algorithm + "sum", [path])
    return ImageChecksum(algorithm: algorithm, value: String(line.prefix { $0 != " " }))
}
