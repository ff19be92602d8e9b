import DiskImages

/// Digests of files that are no images.
package enum FileDigest {
    private static let work = FileWork(width: 1)

    /// SHA-256 of a file's content, in hexadecimal digits.
    ///
    /// - Throws: a `BackendError` when it cannot be read, or the task is cancelled.
    package static func sha256(of path: String) async throws -> String {
        try await work.run { cancellation in
            try ContentDigest.file(path, ["sha256"], cancellation)["sha256"] ?? ""
        }
    }
}
