import Glibc
import Journal
import Support

/// Whose an instance's directory is, for hosts that share their storage.
///
/// Owners are numbered. The first writes into the directory's marker; each later one makes a file of its own number,
/// which only one can. So a host that is back finds out with one look whether somebody has taken an instance from it:
/// is there a file of the number after its own? Such files are never removed while the directory lives. When that of an
/// evacuated instance is removed, a file beside it tells its last owner's number: without such proof, a directory that is
/// not there may be one whose storage is not there.
extension InstanceDirectory {
    private static let ownFiles = ".vmops-"
    private static let ownerPrefix = ".vmops-owner-"
    private static let claimPrefix = ".vmops-new-"
    /// In the directory of an instance that a host has lost without knowing.
    private static let evacuated = ".vmops-evacuated"
    /// Beside the instances' directories; in it a file for each evacuated instance that was removed since.
    private static let tombstones = ".vmops-destroyed"
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
            guard let generation = try lastGeneration() else { return nil }
            return (generation, try read(file(ownerFile(generation))))
        }
    }

    /// Whose the directory is as far as it says, also while its instance is being made. Blocks.
    func ownerName() throws -> String? {
        guard let generation = try lastGeneration() else { return nil }
        return StoredInstance.owner(in: try read(file(ownerFile(generation))))
    }

    /// Makes the directory's marker, as the first owner's, which only one host can. Blocks.
    ///
    /// - Returns: whether nobody else has made it; otherwise nothing is changed.
    func claim(for owner: String) throws -> Bool {
        let mine = Self.claimPrefix + UniqueID.make()
        defer { unlink(file(mine)) }
        try write(file(mine), try StoredInstance.claim(of: owner), sync: false)
        if link(file(mine), file(Self.marker)) == 0 { return true }
        guard errno == EEXIST else { throw FileError("link", file(Self.marker)) }
        return false
    }

    /// Whether a file of that name is a marker on its way, and the directory otherwise nobody's.
    static func isClaim(_ name: String) -> Bool { name.hasPrefix(claimPrefix) }

    private func lastGeneration() throws -> Int? {
        var generation: Int?
        for name in try namesInDirectory(path) {
            if name == Self.marker { generation = max(generation ?? 0, 0) }
            if name.hasPrefix(Self.ownerPrefix), let number = Int(name.dropFirst(Self.ownerPrefix.count)) {
                generation = max(generation ?? 0, number)
            }
        }
        return generation
    }

    /// Becomes the owner of that number, durably.
    ///
    /// - Returns: whether nobody else has become it.
    func take(_ generation: Int, _ text: String) async throws -> Bool {
        try await BlockingPool.shared.run {
            let mine = Self.ownerPrefix + "new-" + UniqueID.make()
            defer { unlink(file(mine)) }
            try write(file(mine), text, sync: true)
            if link(file(mine), file(ownerFile(generation))) == 0 {
                try syncDirectory(path)
                return true
            }
            guard errno == EEXIST else { throw FileError("link", file(ownerFile(generation))) }
            return try read(file(ownerFile(generation))) == text
        }
    }

    /// Writes anew what the owner of that number has to say.
    func publish(_ generation: Int, _ text: String, sync: Bool) async throws {
        try await BlockingPool.shared.run {
            let fresh = ownerFile(generation) + ".new"
            try write(file(fresh), text, sync: sync)
            try move(file: fresh, to: ownerFile(generation))
        }
    }

    // MARK: After the end

    /// Notes, durably, that the instance was taken from a host that did not take part, and may come back any day.
    func markEvacuated() async throws {
        try await BlockingPool.shared.run {
            try write(file(Self.evacuated), "", sync: true)
            try syncDirectory(path)
        }
    }

    /// The number of the last owner that the directory had before it was removed; `nil` if the instance was never
    /// evacuated, or is not removed.
    func lastOwnerBeforeRemoval() async throws -> Int? {
        try await BlockingPool.shared.run {
            guard access(tombstone, F_OK) == 0 else { return nil }
            return Int(try read(tombstone))
        }
    }

    /// Before the directory of an evacuated instance is removed: a host that had it, and was away since, could not tell
    /// from nothing that nothing is its own any more. What it finds instead is the number of the last owner, in a file
    /// that outlives the directory. Blocks; may be repeated.
    func leaveTombstone() throws {
        guard access(file(Self.evacuated), F_OK) == 0, let generation = try lastGeneration() else { return }
        do {
            try writeTombstone(generation)
        } catch {
            // The disk may be full of what is to be removed.
            for name in try namesInDirectory(path) where !name.hasPrefix(Self.ownFiles) { try removeTree(file(name)) }
            try writeTombstone(generation)
        }
    }

    private var tombstone: String { "\(instances)/\(Self.tombstones)/\(uuid)" }

    private func writeTombstone(_ generation: Int) throws {
        let fresh = tombstone + ".new"
        try makeDirectories("\(instances)/\(Self.tombstones)")
        try write(fresh, String(generation), sync: true)
        guard rename(fresh, tombstone) == 0 else { throw FileError("rename", fresh) }
        try syncDirectory("\(instances)/\(Self.tombstones)")
        try syncDirectory(instances)
    }

    // MARK: Blocking

    private func write(_ path: String, _ text: String, sync: Bool) throws {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw FileError("create", path) }
        defer { close(descriptor) }
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw FileError("write", path) }
            rest = rest.dropFirst(count)
        }
        guard !sync || fsync(descriptor) == 0 else { throw FileError("sync", path) }
    }

    private func syncDirectory(_ path: String) throws {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileError("open", path) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw FileError("sync", path) }
    }

    private func read(_ path: String) throws -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else { throw FileError("open", path) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while bytes.count < Self.longest {
            let count = buffer.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw FileError("read", path) }
            if count == 0 { break }
            bytes += buffer[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
