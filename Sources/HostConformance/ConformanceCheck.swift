package import HostBackend

/// One thing that every host backend has to do, wherever it lives: in this process, or in a plugin.
///
/// A test target runs them all: `@Test(arguments: ConformanceCheck.all) func host(check: ConformanceCheck)`.
package struct ConformanceCheck: Sendable, CustomStringConvertible {
    /// For every wait on a hypervisor: generous, for a loaded machine.
    package static let limit = Duration.seconds(60)

    /// What holds, in words.
    package let name: String
    /// Where the plugin protocol says so.
    package let section: String
    /// Without these the host cannot be asked.
    package let needs: Set<Capability>
    private let body: @Sendable (any ConformanceSubject) async throws -> Void

    package init(
        _ name: String,
        section: String,
        needs: Set<Capability> = [],
        _ body: @escaping @Sendable (any ConformanceSubject) async throws -> Void
    ) {
        self.name = name
        self.section = section
        self.needs = needs
        self.body = body
    }

    package var description: String { name }

    /// Makes the check; skipped when the host lacks something that it needs.
    package func run(_ subject: any ConformanceSubject) async -> CheckOutcome {
        let missing = needs.subtracting(subject.host.capabilities.flags)
        guard missing.isEmpty else {
            return .skipped("the host has no \(missing.map(\.rawValue).sorted().joined(separator: ", "))")
        }
        return await .of { try await body(subject) }
    }

    /// Every check.
    package static var all: [ConformanceCheck] {
        hosts + lifecycle + states + errors + interruptions + foreigners + consoles + disks + devices + events
            + restarts
            + migrations
    }
}
