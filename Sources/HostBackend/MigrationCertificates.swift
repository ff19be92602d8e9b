/// Files in PEM format with which the two ends of a migration know each other. Each host shows its certificate both when
/// a machine arrives and when one leaves.
package struct MigrationCertificates: Sendable, Hashable {
    /// Who has signed the certificates of all hosts.
    package var authority: String
    package var certificate: String
    package var key: String
    /// The name in this host's certificate; `nil` = the address that it is reached at.
    package var name: String?

    package init(authority: String, certificate: String, key: String, name: String? = nil) {
        self.authority = authority
        self.certificate = certificate
        self.key = key
        self.name = name
    }

    /// At the source: whether both hosts encrypt what goes between them, or neither.
    ///
    /// - Throws: `invalidArgument` otherwise.
    package static func agree(ours: MigrationCertificates?, theirs: Bool) throws(BackendError) {
        guard theirs != (ours != nil) else { return }
        throw BackendError(
            .invalidArgument,
            theirs
                ? "the other host wants TLS for migrations, and this one does not"
                : "the other host does not use TLS for migrations, and this one does"
        )
    }
}
