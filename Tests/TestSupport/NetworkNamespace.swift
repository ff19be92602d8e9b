import Foundation
import Glibc

/// A network of two ends, one of which a program can be started in. Needs root.
package struct NetworkNamespace: Sendable {
    private let name: String
    private let number: Int

    package static let isAvailable =
        getuid() == 0 && FileManager.default.isExecutableFile(atPath: "/sbin/ip")

    /// The address of this side.
    package var outside: String { "10.213.\(number / 64).\(number % 64 * 4 + 1)" }
    /// The address of the other side.
    package var inside: String { "10.213.\(number / 64).\(number % 64 * 4 + 2)" }
    private var link: String { "vmo\(number)" }

    /// A program, run on the other side.
    package func command(_ program: String) -> [String] { ["/sbin/ip", "netns", "exec", name, program] }

    package static func run(_ body: (NetworkNamespace) async throws -> Void) async throws {
        let number = Int.random(in: 1..<16_000)
        let network = NetworkNamespace(name: "vmops-\(number)", number: number)
        try await ip("netns", "add", network.name)
        do {
            try await network.connect()
            try await body(network)
        } catch {
            try? await ip("netns", "delete", network.name)
            throw error
        }
        try await ip("netns", "delete", network.name)
    }

    private func connect() async throws {
        try await Self.ip("link", "add", link, "type", "veth", "peer", "name", "inside", "netns", name)
        try await Self.ip("address", "add", "\(outside)/30", "dev", link)
        try await Self.ip("link", "set", link, "up")
        try await Self.ip("-n", name, "address", "add", "\(inside)/30", "dev", "inside")
        try await Self.ip("-n", name, "link", "set", "inside", "up")
        try await Self.ip("-n", name, "link", "set", "lo", "up")
    }

    /// From here on no packet gets through, and nobody is told.
    package func cut() async throws { try await Self.ip("link", "set", link, "down") }

    package func mend() async throws { try await Self.ip("link", "set", link, "up") }

    private static func ip(_ arguments: String...) async throws { _ = try await runCommand("/sbin/ip", arguments) }
}
