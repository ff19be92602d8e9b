import DaemonBench
import Foundation
import TestSupport

/// How much of a test runs: the short form in `make test`, the long one in `make soak` (`VMOPS_TEST_LONG=1`).
enum TestForm {
    static let isLong = environment("VMOPS_TEST_LONG") == "1"

    /// A number of its own for one run, else by form.
    static func number(_ variable: String, short: Int, long: Int) -> Int {
        environment(variable).flatMap { Int($0) } ?? (isLong ? long : short)
    }

    /// How long the soak lasts; `nil` = there is none.
    static let soakMinutes = environment("VMOPS_SOAK_MINUTES").flatMap { Int($0) }

    static func environment(_ name: String) -> String? { ProcessInfo.processInfo.environment[name] }
}

/// What hosts are made of in the tests that can do with either: `VMOPS_TEST_BACKEND`.
enum TestBackend: String, Sendable {
    case simulated, qemu

    static let selected = TestForm.environment("VMOPS_TEST_BACKEND").flatMap(Self.init(rawValue:)) ?? .simulated

    /// A daemon with such hosts.
    ///
    /// - Parameter simulated: options of simulated hosts.
    func daemon(hosts: [String], simulated: [String: String]) -> DaemonSettings {
        switch self {
        case .simulated: DaemonSettings(hosts: hosts, options: ["simulated": simulated])
        case .qemu:
            DaemonSettings(
                hosts: hosts,
                options: [
                    "DEFAULT": ["backend": "qemu", "resume_guests_state_on_host_boot": "false"],
                    "qemu": ["acceleration": "tcg", "machine_type": "pc", "disk_bus": "ide"],
                ]
            )
        }
    }
}
