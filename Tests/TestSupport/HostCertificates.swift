import Foundation

/// Certificates of hosts that migrate to each other, made by the very commands of docs/migration.md.
package enum HostCertificates {
    /// Makes an authority and, for each host, a certificate of it, in `directory`: `ca.pem`, `<host>.pem`, `<host>.key`.
    package static func make(_ hosts: [String], address: String = "127.0.0.1", in directory: String) async throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        _ = try await runCommand("bash", ["-c", "set -eu; cd '\(directory)'; " + (try scripts()[0])])
        for host in hosts { try await add(host, address: address, in: directory) }
    }

    /// Makes one more certificate of the authority in `directory`.
    package static func add(_ host: String, address: String, in directory: String) async throws {
        let enter = "set -eu; cd '\(directory)'; HOST=\(host) ADDRESS=\(address)\n"
        _ = try await runCommand("bash", ["-c", enter + (try scripts()[1])])
    }

    private static func scripts() throws -> [String] {
        let page = try String(contentsOf: Checkout.root.appending(path: "docs/migration.md"), encoding: .utf8)
        let blocks = page.components(separatedBy: "```").enumerated()
            .filter { $0.offset.isMultiple(of: 2) == false && $0.element.hasPrefix("sh\n") }
            .map { String($0.element.dropFirst(3)) }
        guard blocks.count == 2 else { throw ConditionNotMet(description: "docs/migration.md has no two scripts") }
        return blocks
    }

    /// Options of the group `migration` for a host that uses its certificate.
    package static func options(_ host: String, in directory: String) -> [String: String] {
        [
            "tls": "true", "tls_ca_file": directory + "/ca.pem", "tls_cert_file": "\(directory)/\(host).pem",
            "tls_key_file": "\(directory)/\(host).key",
        ]
    }
}
