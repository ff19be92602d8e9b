import Foundation

/// The broker that all tests of a run share, started by `make test`. Each test takes a virtual host of its own.
///
/// Never stop, restart or block it: other tests use it at the same time. ``PrivateBroker`` is for that.
package struct TestBroker: BrokerControl {
    package let directory: String
    package let port: Int

    /// The shared broker, from `VMOPS_TEST_AMQP_URL` and `VMOPS_TEST_BROKER_DIR`; `nil` when there is none.
    package static let shared: TestBroker? = {
        let environment = ProcessInfo.processInfo.environment
        guard let url = environment["VMOPS_TEST_AMQP_URL"], let port = URLComponents(string: url)?.port,
            let directory = environment["VMOPS_TEST_BROKER_DIR"]
        else { return nil }
        return TestBroker(directory: directory, port: port)
    }()

    /// For `.enabled(if: TestBroker.isAvailable, TestBroker.missing)`.
    package static var isAvailable: Bool { shared != nil }

    /// What a skipped test says.
    package static let missing: String = "needs the broker that 'make test' starts, or: Tests/Harness/broker start DIR"

    /// Whether this is a run of `make test`, in which nothing may be missing.
    package static let isRequired = ProcessInfo.processInfo.environment["VMOPS_TEST_COMPLETE"] == "1"

    /// ``BrokerControl/withVirtualHost(named:_:)`` on the shared broker.
    ///
    /// - Throws: ``Missing`` when there is no shared broker.
    package static func withVirtualHost<Result>(
        _ body: (_ transportURL: String) async throws -> Result
    ) async throws -> Result {
        guard let shared else { throw Missing() }
        return try await shared.withVirtualHost(body)
    }

    package struct Missing: Error, CustomStringConvertible {
        package var description: String { missing }
    }
}
