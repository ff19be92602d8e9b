import CSSL
import Glibc
import HostBackend
import SystemPackage

/// TLS on one connection of a migration, by OpenSSL. Its calls block, and end with the limits of the socket.
///
/// TLS 1.3, and both sides show a certificate of the authority in the configuration, which is the only one that counts.
/// The files are read anew for each connection, so that a renewed certificate needs no restart. Used by one thread at a
/// time; the descriptor belongs to the ``MigrationSocket`` that it was made for, and outlives it.
final class TLSSession: @unchecked Sendable {
    // Unchecked because of OpenSSL's pointers and the count below: one thread at a time, as said above, uses them.
    enum Side { case source, destination }

    /// After so many bytes in one direction the key is changed: one key of AES-GCM is good for 2^24.5 records
    /// (RFC 8446, section 5.5), and a disk may be larger than that.
    private static let keyBytes = 64 << 30

    private let session: OpaquePointer
    private let method: OpaquePointer
    private let side: Side
    private let keyBytes: Int
    private var bytesWithKey = 0

    /// - Parameters:
    ///   - peer: at the source the name that the other side's certificate must have; see ``checkPeer(_:)`` for the other.
    ///   - keyBytes: bytes after which the key is changed; `nil` = as many as one is good for.
    /// - Throws: `invalidArgument` when the files do not fit, `unauthorized` when they cannot be read.
    init(
        _ descriptor: Int32,
        _ side: Side,
        _ certificates: MigrationCertificates,
        peer: String?,
        keyBytes: Int? = nil
    ) throws(BackendError) {
        let context = try Self.context(side, certificates)
        // The session holds on to it.
        defer { SSL_CTX_free(context) }
        guard let method = vmops_ssl_make_method() else { throw Self.failure("TLS cannot begin") }
        guard let session = SSL_new(context) else {
            BIO_meth_free(method)
            throw Self.failure("TLS cannot begin")
        }
        self.session = session
        self.method = method
        self.side = side
        self.keyBytes = keyBytes ?? Self.keyBytes
        guard vmops_ssl_use(session, method, descriptor) == 1 else { throw Self.failure("TLS cannot begin") }
        if let peer {
            let isExpected =
                Self.isAddress(peer)
                ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), Self.withoutZone(peer))
                : SSL_set1_host(session, peer)
            guard isExpected == 1 else {
                throw BackendError(.invalidArgument, "\(peer) is no name that a certificate can have")
            }
        }
    }

    deinit {
        SSL_free(session)
        BIO_meth_free(method)
    }

    /// Agrees with the other side on a key, and checks its certificate.
    func shakeHands() throws(BackendError) {
        vmops_ssl_forget_errors()
        let result = side == .source ? SSL_connect(session) : SSL_accept(session)
        guard result == 1 else { throw failure(result, "the hosts do not agree on TLS") }
    }

    /// Whether the certificate of the other side has that name, or address.
    func checkPeer(_ name: String) throws(BackendError) {
        guard let certificate = SSL_get1_peer_certificate(session) else {
            throw BackendError(.unauthorized, "the other host shows no certificate")
        }
        defer { X509_free(certificate) }
        let hasName =
            Self.isAddress(name)
            ? X509_check_ip_asc(certificate, Self.withoutZone(name), 0)
            : X509_check_host(certificate, name, name.utf8.count, 0, nil)
        guard hasName == 1 else {
            throw BackendError(.unauthorized, "the certificate of the other host is not for \(name)")
        }
    }

    func send(_ bytes: [UInt8]) throws(BackendError) {
        var done = 0
        while done < bytes.count {
            vmops_ssl_forget_errors()
            let sent = bytes.withUnsafeBytes { buffer in
                SSL_write(
                    session,
                    UnsafeRawBufferPointer(rebasing: buffer[done...]).baseAddress,
                    Int32(clamping: buffer.count - done)
                )
            }
            guard sent > 0 else { throw failure(sent, "the migration's connection") }
            done += Int(sent)
            bytesWithKey += Int(sent)
        }
        guard bytesWithKey >= keyBytes else { return }
        bytesWithKey = 0
        guard SSL_key_update(session, SSL_KEY_UPDATE_NOT_REQUESTED) == 1 else {
            throw Self.failure("the key of the migration's connection cannot be changed")
        }
    }

    func receive(_ count: Int) throws(BackendError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            vmops_ssl_forget_errors()
            let got = bytes.withUnsafeMutableBytes { buffer in
                SSL_read(
                    session,
                    UnsafeMutableRawBufferPointer(rebasing: buffer[done...]).baseAddress,
                    Int32(clamping: count - done)
                )
            }
            guard got > 0 else { throw failure(got, "the migration's connection") }
            done += Int(got)
        }
        return bytes
    }

    // MARK: -

    private static func context(
        _ side: Side,
        _ certificates: MigrationCertificates
    ) throws(BackendError) -> OpaquePointer {
        vmops_ssl_forget_errors()
        guard let context = SSL_CTX_new(side == .source ? TLS_client_method() : TLS_server_method()) else {
            throw failure("TLS cannot begin")
        }
        do throws(BackendError) {
            guard vmops_ssl_require_tls13(context) == 1, SSL_CTX_set_num_tickets(context, 0) == 1 else {
                throw failure("TLS cannot begin")
            }
            guard SSL_CTX_load_verify_locations(context, certificates.authority, nil) == 1 else {
                throw unreadable("tls_ca_file", certificates.authority)
            }
            guard SSL_CTX_use_certificate_chain_file(context, certificates.certificate) == 1 else {
                throw unreadable("tls_cert_file", certificates.certificate)
            }
            guard SSL_CTX_use_PrivateKey_file(context, certificates.key, SSL_FILETYPE_PEM) == 1 else {
                throw unreadable("tls_key_file", certificates.key)
            }
            SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
        } catch {
            SSL_CTX_free(context)
            throw error
        }
        return context
    }

    private static func unreadable(_ option: String, _ path: String) -> BackendError {
        BackendError(.invalidArgument, "\(option) \(path) cannot be used: \(reason)")
    }

    private static func failure(_ what: String) -> BackendError { BackendError(.internal, "\(what): \(reason)") }

    /// What became of a call; also after TLS has begun, any failure is that of the whole connection.
    private func failure(_ result: Int32, _ what: String) -> BackendError {
        let error = errno
        switch SSL_get_error(session, result) {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE:
            return BackendError(.timeout, "\(what): nothing went through in time")
        case SSL_ERROR_ZERO_RETURN:
            return BackendError(.unavailable, "the other side closed the migration's connection")
        case SSL_ERROR_SYSCALL where error == 0:
            return BackendError(.unavailable, "the other side closed the migration's connection")
        case SSL_ERROR_SYSCALL:
            return BackendError(.unavailable, "\(what): \(Errno(rawValue: error))")
        default:
            let verdict = SSL_get_verify_result(session)
            if verdict != X509_V_OK, let text = X509_verify_cert_error_string(verdict) {
                return BackendError(
                    .unauthorized,
                    "the certificate of the other host is refused: \(String(cString: text))"
                )
            }
            return BackendError(.unauthorized, "\(what): \(Self.reason)")
        }
    }

    /// The last error of this thread, in OpenSSL's words.
    private static var reason: String {
        let code = ERR_peek_last_error()
        guard code != 0 else { return "OpenSSL gives no reason" }
        guard let text = ERR_reason_error_string(code) else { return "OpenSSL error \(code)" }
        return String(cString: text)
    }

    private static func isAddress(_ name: String) -> Bool {
        var place = in6_addr()
        return inet_pton(AF_INET, name, &place) == 1 || inet_pton(AF_INET6, withoutZone(name), &place) == 1
    }

    /// An address without the interface that it is reached by, which no certificate knows.
    private static func withoutZone(_ address: String) -> String {
        String(address.prefix { $0 != "%" })
    }
}
