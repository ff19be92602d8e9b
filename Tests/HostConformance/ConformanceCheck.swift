package import HostBackend

/// A host under test: how to get one, and machines that fit it.
package protocol ConformanceSubject: Sendable {
    /// The host in service.
    var host: any HostBackend { get }

    /// A definition that this host can start, with a uuid and files of its own.
    func newSpec(_ name: String) async throws -> MachineSpec

    /// Ends the worker's service and begins it again with a new host value, machines untouched.
    func restart() async throws -> any ConformanceSubject

    /// Something that the guest prints once it is up.
    var bootText: String { get }
}

/// One thing that every host backend has to do.
///
/// A test target runs them all: `@Test(arguments: ConformanceCheck.all) func host(check: ConformanceCheck)`.
package struct ConformanceCheck: Sendable, CustomStringConvertible {
    package let name: String
    /// Without these the host cannot be asked.
    package let needs: Set<Capability>
    private let body: @Sendable (any ConformanceSubject) async throws -> Void

    package init(
        _ name: String,
        needs: Set<Capability> = [],
        _ body: @escaping @Sendable (any ConformanceSubject) async throws -> Void
    ) {
        self.name = name
        self.needs = needs
        self.body = body
    }

    package var description: String { name }

    package func applies(to host: any HostBackend) -> Bool { needs.isSubset(of: host.capabilities.flags) }

    /// Throws ``ConformanceFailure``, or what the host threw, when the host does not do it.
    package func run(_ subject: any ConformanceSubject) async throws { try await body(subject) }

    /// Every check.
    package static var all: [ConformanceCheck] { lifecycle + consoles + disks + restarts }
}

package struct ConformanceFailure: Error, CustomStringConvertible {
    package let description: String
}

/// Throws unless `condition` holds.
func check(_ condition: Bool, _ what: @autoclosure () -> String) throws {
    if !condition { throw ConformanceFailure(description: what()) }
}

func checkEqual<Value: Equatable>(_ value: Value, _ wanted: Value, _ what: String) throws {
    try check(value == wanted, "\(what): \(value), not \(wanted)")
}

/// Throws unless `body` throws a backend error with this code.
func checkFails(
    _ wanted: BackendError.Code,
    _ what: String,
    _ body: () async throws -> Void
) async throws {
    do {
        try await body()
    } catch let error as BackendError {
        return try checkEqual(error.code, wanted, what)
    }
    throw ConformanceFailure(description: "\(what): no error, not \(wanted)")
}
