import HostBackend

/// What came of one check.
package enum CheckOutcome: Sendable, Hashable {
    case passed
    case failed(expected: String, seen: String)
    /// The check could not be made, or what it is about is not there.
    case skipped(String)
    /// A thing that should hold and need not.
    case advised(expected: String, seen: String)

    package var isPassed: Bool { self == .passed }

    package var isFailed: Bool {
        if case .failed = self { true } else { false }
    }

    package var isSkipped: Bool {
        if case .skipped = self { true } else { false }
    }
}

/// Thrown by a check that sees something else than it has to see.
package struct CheckFailure: Error, Sendable, Hashable, CustomStringConvertible {
    package let expected: String
    package let seen: String

    package init(expected: String, seen: String) {
        self.expected = expected
        self.seen = seen
    }

    package var description: String { "expected \(expected); seen: \(seen)" }
}

/// Thrown by a check that cannot be made here.
package struct CheckSkipped: Error, Sendable, CustomStringConvertible {
    package let description: String

    package init(_ why: String) { description = why }
}

extension CheckOutcome {
    /// What came of `body`: nothing thrown is passed, ``CheckSkipped`` is skipped, anything else thrown is a failure.
    package static func of(_ body: () async throws -> Void) async -> CheckOutcome {
        do {
            try await body()
            return .passed
        } catch let failure as CheckFailure {
            return .failed(expected: failure.expected, seen: failure.seen)
        } catch let skipped as CheckSkipped {
            return .skipped(skipped.description)
        } catch let error as BackendError {
            return .failed(expected: "no error", seen: "\(error.code.rawValue): \(error)")
        } catch {
            return .failed(expected: "no error", seen: "\(error)")
        }
    }
}
