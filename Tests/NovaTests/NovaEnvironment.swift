import Foundation
import TestSupport
import Testing

/// A version of Nova that drives hosts, in a Python environment that is made when the first test asks for it.
enum NovaRelease: String, Sendable, CaseIterable, CustomTestStringConvertible {
    /// Zed, which Debian 12 has.
    case nova26 = "26.3.0"
    case nova34 = "34.0.0"

    // They end by themselves: pip gives up on a network that is not there. Awaited by whoever asks.
    private static let made26 = Task<String, any Error> { try await NovaRelease.nova26.make() }
    private static let made34 = Task<String, any Error> { try await NovaRelease.nova34.make() }

    /// Those that could be installed; says why not of the others.
    static func available() async -> [NovaRelease] {
        // Both are made at the same time.
        async let old = nova26.isAvailable()
        async let new = nova34.isAvailable()
        return (await old ? [nova26] : []) + (await new ? [nova34] : [])
    }

    private func make() async throws -> String {
        try await runCommand(Checkout.harness.appending(path: "nova-environment").path, [rawValue])
    }

    /// The interpreter's path.
    func python() async throws -> String { try await (self == .nova26 ? Self.made26 : Self.made34).value }

    /// Whether there is one; says why not.
    func isAvailable() async -> Bool {
        do {
            _ = try await python()
            return true
        } catch {
            print("skipped: \(error)")
            return false
        }
    }

    /// `[nova] service_version` of a host beside its own compute services.
    var serviceVersion: Int64 { self == .nova26 ? 64 : 74 }

    var testDescription: String { "nova \(rawValue)" }
}

extension Trait where Self == ConditionTrait {
    static var needsBroker: Self { .enabled(if: TestBroker.isAvailable, "\(TestBroker.missing)") }
    static var needsNova: Self {
        .enabled("needs the Python environment that Tests/Harness/nova-environment makes") {
            await NovaRelease.available().contains(.nova34)
        }
    }
}
