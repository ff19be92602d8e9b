import DiskImages
import Glibc
import HostBackend
import Support

/// What QEMU is told about a live migration before it begins, and what it must forget afterwards.
extension QEMUMachine {
    static let certificatesName = "certificates"

    enum Side { case source, destination }

    /// What both ends have to agree on, because it changes what is sent.
    func capabilities(_ travelling: TravellingMachine) -> [String: Bool] {
        [
            // Without it a source takes what its destination refused for a success.
            "return-path": true,
            // The destination takes the disks' locks when it runs: until then the source can go on. A paused guest's
            // are taken at once, for nothing else would.
            "late-block-activate": travelling.runs,
            "multifd": travelling.channels > 1,
            "events": true,
            "pause-before-switchover": false,
            "auto-converge": false,
        ]
    }

    func set(_ capabilities: [String: Bool]) async throws(BackendError) {
        let list = capabilities.sorted { $0.key < $1.key }
            .map { name, isOn -> JSONValue in ["capability": .string(name), "state": .bool(isOn)] }
        try await execute("migrate-set-capabilities", ["capabilities": .array(list)])
    }

    /// Whatever QEMU writes next, such as a suspended machine's memory, is written plainly.
    func clearMigrationSettings() async throws(BackendError) {
        try await set([
            "return-path": false, "late-block-activate": false, "multifd": false, "events": false,
            "pause-before-switchover": false, "auto-converge": false,
        ])
        try await execute("migrate-set-parameters", ["tls-creds": "", "tls-hostname": ""])
        do { try await execute("object-del", ["id": .string(Self.certificatesName)]) } catch {
            // There is none.
            try Self.passRefusal(error)
        }
    }

    /// Gives QEMU the host's certificate, if there is one to be used.
    ///
    /// QEMU reads the files while it carries out the command; in its directory they are for that moment only.
    ///
    /// - Returns: whether the migration is encrypted.
    func addCertificates(_ side: Side) async throws -> Bool {
        guard let certificates = settings.migration.tls else { return false }
        do { try await execute("object-del", ["id": .string(Self.certificatesName)]) } catch {
            try Self.passRefusal(error)
        }
        let (directory, group) = (files.certificates, services.command.demotion?.user.gid)
        try await services.work.run { _ in
            try CertificateFiles.write(certificates, side, to: directory, group: group)
        }
        do {
            try await execute(
                "object-add",
                [
                    "qom-type": "tls-creds-x509", "id": .string(Self.certificatesName), "dir": .string(directory),
                    "endpoint": side == .source ? "client" : "server", "verify-peer": true,
                ]
            )
        } catch {
            await removeCertificates()
            throw error
        }
        await removeCertificates()
        return true
    }

    private func removeCertificates() async {
        await unlessCancelled { [work = services.work, files] in
            _ = try? await work.run { _ in try FileCalls.removeTree(files.certificates) }
        }
    }
}

/// Certificates under the names that QEMU looks for. Blocks.
private enum CertificateFiles {
    private static let largest = 1 << 20

    static func write(
        _ certificates: MigrationCertificates,
        _ side: QEMUMachine.Side,
        to directory: String,
        group: UInt32?
    ) throws(BackendError) {
        let role = side == .source ? "client" : "server"
        try FileCalls.removeTree(directory)
        try FileCalls.makeNewDirectory(directory, mode: 0o750)
        try give(directory, group)
        let contents = [
            ("ca-cert.pem", certificates.authority), ("\(role)-cert.pem", certificates.certificate),
            ("\(role)-key.pem", certificates.key),
        ]
        for (name, path) in contents {
            let copy = directory + "/" + name
            try FileCalls.writeNew(copy, FileCalls.read(path, offset: 0, count: largest), mode: 0o640)
            try give(copy, group)
        }
    }

    private static func give(_ path: String, _ group: UInt32?) throws(BackendError) {
        guard let group, lchown(path, uid_t.max, group) != 0 else { return }
        throw BackendError(.unauthorized, "\(SystemCallError("chown", errno, path: path))")
    }
}
