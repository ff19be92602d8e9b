import HostBackend
import HostConformance
import Support

/// One thing that a plugin has to do.
struct PluginCheck: Sendable {
    /// What holds, in words.
    let name: String
    /// Where the plugin protocol says so.
    let section: String
    let shapes: Set<PluginKitSettings.Shape>
    /// Without these there is nothing to check.
    let needs: Set<Capability>
    /// The protocol says "should".
    let isAdvice: Bool
    private let body: @Sendable (PluginBench) async throws -> Void

    /// How long a check may take; one that does not end is a failure.
    private static let limit = Duration.seconds(600)

    init(
        _ name: String,
        section: String,
        shapes: Set<PluginKitSettings.Shape> = [.child, .socket],
        needs: Set<Capability> = [],
        isAdvice: Bool = false,
        _ body: @escaping @Sendable (PluginBench) async throws -> Void
    ) {
        self.name = name
        self.section = section
        self.shapes = shapes
        self.needs = needs
        self.isAdvice = isAdvice
        self.body = body
    }

    /// A check of host backends, over the wire.
    init(_ check: ConformanceCheck) {
        self.init(check.name, section: check.section, shapes: .all, needs: check.needs) { bench in
            switch await check.run(try await PluginSubject(bench)) {
            case .passed: break
            case .failed(let expected, let seen), .advised(let expected, let seen):
                throw CheckFailure(expected: expected, seen: seen)
            case .skipped(let why): throw CheckSkipped(why)
            }
        }
    }

    /// All checks, in the order in which they are made: the handshake first, as nothing goes without it.
    static var all: [PluginCheck] {
        handshake + frames + messages + errors + machines + ConformanceCheck.all.map { PluginCheck($0) } + events
            + consoles + migrations + life + oneShots
    }

    /// Makes the check.
    ///
    /// - Parameter flags: what the plugin says it can do; `nil` = it did not say yet.
    func run(_ bench: PluginBench, flags: Set<Capability>?) async -> CheckOutcome {
        guard shapes.contains(bench.settings.shape) else {
            return .skipped("not for a plugin of the shape \(bench.settings.shape.rawValue)")
        }
        if let flags, !needs.isSubset(of: flags) {
            let missing = needs.subtracting(flags).map(\.rawValue).sorted().joined(separator: ", ")
            return .skipped("the plugin has no \(missing)")
        }
        let body = body
        var outcome = await CheckOutcome.of {
            do {
                try await withDeadline(Self.limit) { try await body(bench) }
            } catch is DeadlineExceeded {
                throw CheckFailure(expected: "an end of this check", seen: "none within \(Self.limit)")
            }
        }
        let violations = bench.takeViolations()
        if outcome.isFailed || !violations.isEmpty {
            // What is broken now must not spoil the next check.
            await bench.stop()
        }
        if let first = violations.first, !outcome.isFailed {
            let more = violations.count > 1 ? ", and \(violations.count - 1) more of the kind" : ""
            outcome = .failed(
                expected: "nothing that the protocol forbids",
                seen: "section \(first.section): \(first.text)\(more)"
            )
        }
        if isAdvice, violations.isEmpty, case .failed(let expected, let seen) = outcome {
            return .advised(expected: expected, seen: seen)
        }
        return outcome
    }
}

extension Set<PluginKitSettings.Shape> {
    static var all: Self { Set(PluginKitSettings.Shape.allCases) }
}
