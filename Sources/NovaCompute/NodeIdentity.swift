import Support

/// The identifier of a host's compute node, which must stay the same for the life of the host: inventories and
/// allocations go by it (Nova's compute RPC, section 6.1). One line in a file, as Nova keeps it.
package struct NodeIdentity: Sendable {
    private static let longest = 64

    package let path: String

    package init(path: String) { self.path = path }

    /// The identifier; `nil` when none has been written.
    ///
    /// - Throws: `SystemCallError`; ``ComputeServiceError`` `identity` when the file holds something else.
    func read() async throws -> String? {
        let path = path
        let bytes = try await BlockingPool.shared.run {
            try ReactorFile.reading(path)?.read(at: 0, count: Self.longest)
        }
        guard let bytes else { return nil }
        let text = String(decoding: bytes, as: UTF8.self).lowercased().filter { !$0.isWhitespace }
        let parts = text.split(separator: "-", omittingEmptySubsequences: false).map(\.utf8.count)
        guard parts == [8, 4, 4, 4, 12], text.allSatisfy({ $0 == "-" || $0.isHexDigit }) else {
            throw ComputeServiceError(.identity, "\(path) does not hold a UUID")
        }
        return text
    }

    /// Writes the identifier durably.
    func write(_ uuid: String) async throws {
        let path = path
        try await BlockingPool.shared.run { try DurableFile.replace(path, with: uuid + "\n") }
    }
}
