package import HostBackend
import Support

extension DiskImages {
    /// Volume label by which guests find the config drive.
    package static let configDriveLabel = "config-2"

    /// Builds an ISO 9660 file with Joliet and Rock Ridge names (VM operations, section 6.7).
    ///
    /// The files may hold secrets: they are staged in a private directory beside the target, which is removed in every
    /// case, and the result can be read by this user alone. Bounds: 1,024 files, 64 MiB in all.
    ///
    /// - Throws: `invalidArgument` for a path that is absolute, leaves the drive, or collides with another;
    ///   `unimplemented` without `xorriso`.
    package func buildConfigDrive(_ files: [ConfigDriveFile], at path: String) async throws {
        let tree = try ConfigDriveTree(files)
        try await produce(path) { temporary in
            let staging = temporary + ".d"
            do {
                try await work.run { _ in try tree.write(to: staging) }
                _ = try await tools.run(
                    xorriso,
                    ["-no_rc", "-as", "mkisofs", "-quiet", "-J", "-r", "-V", Self.configDriveLabel]
                        + ["-o", temporary, staging],
                    deadline: settings.shortDeadline
                )
                try FileCalls.restrict(temporary)
            } catch {
                try? FileCalls.removeTree(staging)
                throw error
            }
            try await work.run { _ in try FileCalls.removeTree(staging) }
        }
    }
}

/// The checked content of a config drive.
struct ConfigDriveTree: Sendable {
    static let maximumFiles = 1024
    static let maximumBytes = 64 << 20

    /// Every directory, parents first.
    private var directories: [String] = []
    private var files: [(path: String, content: [UInt8])] = []

    init(_ list: [ConfigDriveFile]) throws(BackendError) {
        guard list.count <= Self.maximumFiles, list.reduce(0, { $0 + $1.content.count }) <= Self.maximumBytes else {
            throw BackendError(.invalidArgument, "too much for a config drive")
        }
        var known: Set<String> = []
        for file in list {
            let parts = try Self.parts(file.path)
            for depth in 1..<parts.count {
                let directory = parts[..<depth].joined(separator: "/")
                if known.insert(directory).inserted { directories.append(directory) }
            }
            files.append((file.path, file.content))
        }
        for file in files where !known.insert(file.path).inserted {
            throw BackendError(.invalidArgument, "config drive: two entries are called \(file.path)")
        }
    }

    private static func parts(_ path: String) throws(BackendError) -> [String] {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        let isClean = parts.allSatisfy { part in
            !part.isEmpty && part != "." && part != ".." && part.utf8.count <= 103
                && part.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "\\") }
        }
        guard isClean, parts.count <= 8 else {
            throw BackendError(.invalidArgument, "config drive: bad path \(path.debugDescription.prefix(200))")
        }
        return parts
    }

    /// Writes the files below a new directory that only this user can enter.
    func write(to root: String) throws {
        try FileCalls.makeNewDirectory(root, mode: 0o700)
        for directory in directories { try FileCalls.makeNewDirectory(root + "/" + directory, mode: 0o700) }
        for file in files { try FileCalls.writeNew(root + "/" + file.path, file.content) }
    }
}
