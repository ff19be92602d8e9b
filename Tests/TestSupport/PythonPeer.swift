import Foundation

/// The versions of oslo.messaging that tests run against.
package enum OsloVersion: String, CaseIterable, Sendable, CustomStringConvertible {
    case v18_3_1 = "18.3.1"
    case v14_0_3 = "14.0.3"

    package var description: String { rawValue }

    fileprivate var directory: URL {
        Checkout.work.appending(path: self == .v18_3_1 ? "venv-18" : "venv-14")
    }

    /// Whether the set-up has made this version's environment.
    package var isAvailable: Bool {
        FileManager.default.fileExists(atPath: directory.appending(path: "complete").path)
    }

    /// The interpreter that has this version.
    package var python: String { directory.appending(path: "bin/python").path }
}

/// A Python program of `Tests/Peers` with a real oslo.messaging, talking JSON lines with the test.
package enum PythonPeer {
    /// For `.enabled(if: PythonPeer.isAvailable, PythonPeer.missing)`.
    package static var isAvailable: Bool { OsloVersion.allCases.allSatisfy(\.isAvailable) }

    /// What a skipped test says.
    package static let missing = "needs the Python environments that 'make setup' makes"

    /// Runs `program` while `body` runs. `peer.py` there has what the programs share.
    ///
    /// - Parameters:
    ///   - program: A file name in `Tests/Peers`, as `echo_server.py`.
    ///   - version: Which oslo.messaging it gets.
    package static func run<Result: Sendable>(
        _ program: String,
        _ arguments: [String] = [],
        version: OsloVersion,
        environment: [String: String?] = [:],
        _ body: (LineProcess) async throws -> Result
    ) async throws -> Result {
        let path = Checkout.peers.appending(path: program).path
        let quiet: [String: String?] = [
            "PYTHONWARNINGS": "ignore", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1",
        ]
        return try await LineProcess.run(
            version.python,
            [path] + arguments,
            environment: quiet.merging(environment) { $1 },
            body
        )
    }
}
