import Glibc
package import HostBackend
import Journal
import Support

/// The directory of one instance: `<instances>/<uuid>`, owner only.
///
/// Looking never creates anything. All calls may block; they run on ``BlockingPool``.
package struct InstanceDirectory: Sendable, Hashable {
    /// Tells our directories from whatever else may lie at the same path.
    static let marker = ".vmops-instance"

    package let uuid: InstanceUUID
    package let path: String
    /// The directory with those of all instances.
    let instances: String

    package init(instances: String, uuid: InstanceUUID) {
        self.uuid = uuid
        self.instances = instances
        self.path = "\(instances)/\(uuid)"
    }

    package func file(_ name: String) -> String { "\(path)/\(name)" }

    /// Makes the directory anew, as that of a host. What lies there already is removed if it is this instance's or
    /// empty; anything else is moved aside.
    ///
    /// - Returns: where foreign content was moved to.
    /// - Throws: `instanceExists` when it is another host's, which may be making it at this moment: nothing is changed.
    package func create(owner: String) async throws -> String? {
        try await BlockingPool.shared.run { try createNow(owner) }
    }

    /// Removes the directory with everything in it; a missing one is fine.
    package func remove() async throws {
        try await BlockingPool.shared.run {
            try leaveTombstone()
            try removeTree(path)
        }
    }

    /// Whether the directory is there and was made for an instance.
    func isMarked() async throws -> Bool {
        try await BlockingPool.shared.run { access(file(Self.marker), F_OK) == 0 }
    }

    /// Whether there is a file of that name in it.
    func contains(_ name: String) async throws -> Bool {
        try await BlockingPool.shared.run { access(file(name), F_OK) == 0 }
    }

    /// Makes an empty file in it.
    func touch(_ name: String) async throws {
        try await BlockingPool.shared.run { try touchNow(name) }
    }

    func remove(file name: String) async throws {
        try await BlockingPool.shared.run { try removeTree(file(name)) }
    }

    /// Puts the directory out of the way; a missing one is fine.
    ///
    /// - Returns: where its content is now.
    func moveAside() async throws -> String? {
        try await BlockingPool.shared.run { access(path, F_OK) == 0 ? try moveAsideNow() : nil }
    }

    private func moveAsideNow() throws -> String {
        // Unique, for two may have to go within one second.
        let aside = "\(path).orphan-\(time(nil))-\(UniqueID.make().prefix(8))"
        guard rename(path, aside) == 0 else { throw FileError("move aside", path) }
        return aside
    }

    /// Renames a file in it, over another if there is one; blocks.
    func move(file name: String, to other: String) throws {
        guard rename(file(name), file(other)) == 0 else { throw FileError("rename", file(name)) }
    }

    private func touchNow(_ name: String) throws {
        let descriptor = open(file(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw FileError("create", file(name)) }
        close(descriptor)
    }

    private func createNow(_ owner: String) throws -> String? {
        var movedTo: String?
        if access(path, F_OK) == 0, access(path + "/.", F_OK) != 0, errno == ENOTDIR { movedTo = try moveAsideNow() }
        // Looked at once: another host may be making it at this moment, and puts its marker there first.
        let names = try namesInDirectory(path)
        if names.contains(Self.marker) {
            if let other = try ownerName(), other != owner { throw takenError(other) }
            try leaveTombstone()
            try removeTree(path)
        } else if !names.allSatisfy(Self.isClaim) {
            movedTo = try moveAsideNow()
        }
        try makeDirectories(path)
        chmod(path, 0o700)
        guard try claim(for: owner) else { throw takenError(try ownerName() ?? "another host") }
        return movedTo
    }

    private func takenError(_ owner: String) -> OperationError {
        OperationError(
            .instanceExists,
            "Instance \(uuid) already exists on host \(owner), which has its directory.",
            details: ["name": uuid.text, "host": owner]
        )
    }
}
