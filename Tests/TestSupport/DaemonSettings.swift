import Foundation
import Glibc

/// What a test's ``DaemonProcess`` is configured with.
package struct DaemonSettings: Sendable {
    /// The hosts it serves.
    package var hosts = ["host-a", "host-b"]
    /// Options by group, over those that every test's daemon gets: `["simulated": ["boot_lines": "3"]]`.
    package var options: [String: [String: String]] = [:]
    /// The transport URL, if not that of a virtual host of its own on ``TestBroker``.
    package var url: String?
    /// Lines that are written after all groups, as they are.
    package var appendix = ""

    /// The program and arguments before the configuration's, if not the built `vmopsd` alone; `%` stands for the
    /// daemon's directory.
    package var command: [String] = []
    /// Variables added to the daemon's environment; `nil` removes one.
    package var environment: [String: String?] = [:]

    package init(
        hosts: [String] = ["host-a", "host-b"],
        options: [String: [String: String]] = [:],
        url: String? = nil,
        appendix: String = ""
    ) {
        self.hosts = hosts
        self.options = options
        self.url = url
        self.appendix = appendix
    }

    /// The configuration file for a daemon that keeps its files in `directory`.
    func file(url: String, directory: String) -> String {
        var groups: [String: [String: String]] = [
            "DEFAULT": [
                "transport_url": url, "control_exchange": "nova", "hosts": hosts.joined(separator: ","),
                "state_path": directory + "/state", "backend": "simulated",
            ],
            "admin": ["listen": "unix:\(directory)/admin.sock"],
        ]
        // Without root, the kernel shows little of a process that may not be dumped.
        if getuid() != 0 { groups["limits"] = ["core_dumps": "true"] }
        for (group, options) in self.options {
            groups[group, default: [:]].merge(options) { $1 }
        }
        let text = groups.sorted { $0.key < $1.key }.map { group, options in
            "[\(group)]\n" + options.sorted { $0.key < $1.key }.map { "\($0.key) = \($0.value)\n" }.joined()
        }
        return text.joined() + appendix
    }
}
