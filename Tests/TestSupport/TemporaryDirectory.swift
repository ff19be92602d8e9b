import Foundation
import Support

/// Runs `body` with the path of a new empty directory, which is removed with its contents afterwards. The path is
/// short, so that a UNIX socket fits in it.
package func withTemporaryDirectory<Result>(
    _ body: (_ path: String) async throws -> Result
) async throws -> Result {
    let path = "/tmp/vmops-\(UniqueID.make().prefix(12))"
    try FileManager.default.createDirectory(
        atPath: path,
        withIntermediateDirectories: false,
        attributes: [.posixPermissions: 0o700]
    )
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try await body(path)
}
