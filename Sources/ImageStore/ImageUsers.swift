import DiskImages
import HostBackend
import JSONCodec
import Support

/// Who uses a fetched image: one small file for each instance, written before the instance's disk is made.
///
/// A record counts until its instance's directory is gone. Whether it is gone can be told only on the machine that
/// wrote the record, so those of other machines, which share the directory, always count.
struct ImageUsers: Sendable {
    struct User: Sendable, Hashable {
        var path: String
        var node: String
        var directory: String
    }

    private static let node = CacheFiles.line("/etc/machine-id") + "/" + CacheFiles.line("/proc/sys/kernel/hostname")

    private let entry: CacheEntry

    init(_ entry: CacheEntry) { self.entry = entry }

    /// Durable when it returns; blocks.
    func add(directory: String) throws(BackendError) {
        let name = String(try ContentDigest.sha256(Self.node + "\n" + directory).prefix(32))
        let path = entry.users + "/" + name
        if try FileCalls.status(path) != nil { return }
        try FileCalls.makeDirectories(entry.users)
        let document: JSONValue = ["node": .string(Self.node), "directory": .string(directory)]
        guard let bytes = try? JSONWriter.bytes(of: document) else {
            throw BackendError(.internal, "no record of its user could be written")
        }
        // Not `replace`, whose temporary name two writers would share; a half written record counts as a user.
        do throws(BackendError) {
            try FileCalls.writeNew(path, bytes)
        } catch  where error.code == .alreadyExists {
            return
        }
        try FileCalls.sync(path)
        try FileCalls.syncDirectory(of: path)
        try FileCalls.syncDirectory(of: entry.users)
    }

    /// All records; one that cannot be read belongs to nobody in particular and always counts. Blocks.
    func all() throws(BackendError) -> [User] {
        var users: [User] = []
        for name in try FileCalls.names(in: entry.users) {
            let path = entry.users + "/" + name
            let bytes = try FileCalls.read(path, offset: 0, count: 16 << 10)
            let record = (try? JSONReader.read(bytes))?.objectValue
            users.append(
                User(
                    path: path,
                    node: record?["node"]?.stringValue ?? "",
                    directory: record?["directory"]?.stringValue ?? ""
                )
            )
        }
        return users
    }

    /// Whether the instance that the record speaks of is known to be gone; blocks.
    static func isGone(_ user: User) throws(BackendError) -> Bool {
        guard user.node == node, user.directory.hasPrefix("/") else { return false }
        return try FileCalls.status(user.directory) == nil
    }
}
