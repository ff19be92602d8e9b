import Foundation
import TestSupport
import Testing

/// The Python environment with Nova, which is made when the first test asks for it.
enum NovaEnvironment {
    // Ends by itself: pip gives up on a network that is not there. Awaited by whoever asks.
    private static let outcome = Task<String, any Error> {
        try await runCommand(Checkout.harness.appending(path: "nova-environment").path, [])
    }

    /// The interpreter's path.
    static func python() async throws -> String { try await outcome.value }

    /// Whether there is one; says why not.
    static func isAvailable() async -> Bool {
        do {
            _ = try await outcome.value
            return true
        } catch {
            print("skipped: \(error)")
            return false
        }
    }
}

extension Trait where Self == ConditionTrait {
    static var needsBroker: Self { .enabled(if: TestBroker.isAvailable, "\(TestBroker.missing)") }
    static var needsNova: Self {
        .enabled("needs the Python environment that Tests/Harness/nova-environment makes") {
            await NovaEnvironment.isAvailable()
        }
    }
}
