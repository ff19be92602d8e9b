import HostBackend
import PluginProtocol

/// Which paths a worker may name to a served host: those of instances, and images to read.
///
/// Paths are compared as they are written, links in them are not followed: whoever may make links below these
/// directories is trusted with them.
struct ServedPaths: Sendable {
    /// A path that is refused, and the member that has it.
    struct Refusal: Error, CustomStringConvertible {
        let field: String
        let path: String
        let allowed: String

        var description: String {
            "\(field): \(PluginText.escaped(path, limit: 256)) is not below \(allowed)"
        }
    }

    let instances: String
    let images: [String]

    init(instances: String, images: [String]) {
        self.instances = Self.withoutEnd(instances)
        self.images = images.map(Self.withoutEnd)
    }

    /// - Returns: the path, if it is of an instance.
    func instance(_ path: String, _ field: String) throws(Refusal) -> String {
        guard Self.isPlain(path), Self.isBelow(path, instances) else {
            throw Refusal(field: field, path: path, allowed: instances)
        }
        return path
    }

    /// - Returns: the path, if it is of an instance or an image.
    func instanceOrImage(_ path: String, _ field: String) throws(Refusal) -> String {
        guard Self.isPlain(path), ([instances] + images).contains(where: { Self.isBelow(path, $0) }) else {
            throw Refusal(field: field, path: path, allowed: ([instances] + images).joined(separator: " or "))
        }
        return path
    }

    /// - Returns: the definition, if its directory and its disks are of an instance. A volume is where `volume.connect`
    ///   has put it.
    func instance(_ spec: MachineSpec) throws(Refusal) -> MachineSpec {
        _ = try instance(spec.directory, "spec.directory")
        for (number, disk) in spec.disks.enumerated() where disk.role != .volume {
            _ = try instance(disk.path, "spec.disks[\(number)].path")
        }
        return spec
    }

    /// - Returns: the request, if its disk is of an instance and its image is one.
    func disk(_ request: DiskRequest) throws(Refusal) -> DiskRequest {
        _ = try instance(request.path, "path")
        switch request.source {
        case .blank: break
        case .overlay(let image), .copy(let image): _ = try instanceOrImage(image.path, "image.path")
        }
        return request
    }

    private static func isPlain(_ path: String) -> Bool {
        path.utf8.first == UInt8(ascii: "/") && !path.utf8.contains(0)
            && path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
                .allSatisfy { !["", ".", ".."].contains($0) }
    }

    private static func isBelow(_ path: String, _ directory: String) -> Bool {
        !directory.isEmpty && path.utf8.starts(with: (directory + "/").utf8)
    }

    private static func withoutEnd(_ directory: String) -> String {
        var directory = directory[...]
        while directory.utf8.last == UInt8(ascii: "/") { directory = directory.dropLast() }
        return String(directory)
    }
}
