import Glibc
import Support

/// Whose an instance's directory is, for hosts that share their storage.
///
/// Owners are numbered. The first writes into the directory's marker; each later one makes a file of its own number,
/// which only one can. So a host that is back finds out with one look whether somebody has taken an instance from it:
/// is there a file of the number after its own? Such files are never removed while the directory lives.
extension InstanceDirectory {
    private static let ownerPrefix = ".vmops-owner-"
    /// Longer ones are none of ours.
    private static let longest = 4 << 20

    private func ownerFile(_ generation: Int) -> String {
        generation == 0 ? Self.marker : Self.ownerPrefix + String(generation)
    }

    /// Whether somebody has taken the directory from its owner of that number.
    func isTaken(from generation: Int) async throws -> Bool { try await contains(ownerFile(generation + 1)) }

    /// The last owner's number, and what it has written; `nil` where there is no instance.
    func owner() async throws -> (generation: Int, text: String)? {
        try await BlockingPool.shared.run {
            var generation = -1
            for name in try namesInDirectory(path) {
                if name == Self.marker { generation = max(generation, 0) }
                if name.hasPrefix(Self.ownerPrefix), let number = Int(name.dropFirst(Self.ownerPrefix.count)) {
                    generation = max(generation, number)
                }
            }
            guard generation >= 0 else { return nil }
            return (generation, try read(ownerFile(generation)))
        }
    }

    /// Becomes the owner of that number, durably.
    ///
    /// - Returns: whether nobody else has become it.
    func take(_ generation: Int, _ text: String) async throws -> Bool {
        try await BlockingPool.shared.run {
            let mine = Self.ownerPrefix + "new-" + UniqueID.make()
            defer { unlink(file(mine)) }
            try write(mine, text, sync: true)
            if link(file(mine), file(ownerFile(generation))) == 0 {
                try syncDirectory()
                return true
            }
            guard errno == EEXIST else { throw FileError("link", file(ownerFile(generation))) }
            return try read(ownerFile(generation)) == text
        }
    }

    /// Writes anew what the owner of that number has to say.
    func publish(_ generation: Int, _ text: String, sync: Bool) async throws {
        try await BlockingPool.shared.run {
            let fresh = ownerFile(generation) + ".new"
            try write(fresh, text, sync: sync)
            try move(file: fresh, to: ownerFile(generation))
        }
    }

    // MARK: Blocking

    private func write(_ name: String, _ text: String, sync: Bool) throws {
        let descriptor = open(file(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw FileError("create", file(name)) }
        defer { close(descriptor) }
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw FileError("write", file(name)) }
            rest = rest.dropFirst(count)
        }
        guard !sync || fsync(descriptor) == 0 else { throw FileError("sync", file(name)) }
    }

    private func syncDirectory() throws {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileError("open", path) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw FileError("sync", path) }
    }

    private func read(_ name: String) throws -> String {
        let descriptor = open(file(name), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else { throw FileError("open", file(name)) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while bytes.count < Self.longest {
            let count = buffer.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw FileError("read", file(name)) }
            if count == 0 { break }
            bytes += buffer[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
