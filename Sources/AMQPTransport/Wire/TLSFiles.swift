import AMQPModel
import CRabbitMQ
import Glibc

/// Certificates and keys, checked before the library sees them: it ends the process or asks on the terminal for some
/// of the things that can be wrong with them.
enum TLSFiles {
    /// Where distributions keep the authorities they trust; the library has no default of its own.
    private static let systemBundles = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",
        "/etc/ssl/cert.pem",
    ]
    private static let maximumFileBytes = 1 << 20

    /// Throws `configuration` when a file is missing, unreadable or of the wrong kind.
    static func validate(_ options: TLSOptions) throws(TransportError) {
        if let file = options.caFile { try check(file, contains: "CERTIFICATE-----", "certificate authorities") }
        if let file = options.certificateFile { try check(file, contains: "CERTIFICATE-----", "client certificate") }
        guard let file = options.keyFile ?? options.certificateFile else { return }
        let text = try check(file, contains: "PRIVATE KEY-----", "private key")
        if text.contains("ENCRYPTED") {
            throw TransportError(.configuration, "\(file): private keys with a password are not supported")
        }
    }

    static func apply(_ options: TLSOptions, to socket: OpaquePointer) throws(TransportError) {
        guard let authorities = options.caFile ?? systemBundles.first(where: SystemCall.isReadable) else {
            throw TransportError(.configuration, "no certificate authorities: install ca-certificates or set a CA file")
        }
        guard amqp_ssl_socket_set_cacert(socket, authorities) == AMQP_STATUS_OK.rawValue else {
            throw TransportError(.configuration, "\(authorities): not a file of certificate authorities")
        }
        if let certificate = options.certificateFile {
            let key = options.keyFile ?? certificate
            guard amqp_ssl_socket_set_key(socket, certificate, key) == AMQP_STATUS_OK.rawValue else {
                throw TransportError(.configuration, "\(certificate) and \(key): not a certificate and its private key")
            }
        }
        amqp_ssl_socket_set_verify_peer(socket, 1)
        amqp_ssl_socket_set_verify_hostname(socket, options.verifyHostName ? 1 : 0)
        guard amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST) == AMQP_STATUS_OK.rawValue else {
            throw TransportError(.configuration, "this OpenSSL does not offer TLS 1.2")
        }
    }

    @discardableResult
    private static func check(
        _ path: String,
        contains marker: String,
        _ what: String
    ) throws(TransportError) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw TransportError(.configuration, "\(what) file \(path): \(SystemCall.text(errno))")
        }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        while bytes.count < maximumFileBytes {
            let chunk = [UInt8](unsafeUninitializedCapacity: 16 << 10) { buffer, count in
                count = max(0, read(descriptor, buffer.baseAddress, buffer.count))
            }
            if chunk.isEmpty { break }
            bytes += chunk
        }
        let text = String(decoding: bytes, as: UTF8.self)
        guard text.contains(marker) else {
            throw TransportError(.configuration, "\(what) file \(path): no PEM data of that kind in it")
        }
        return text
    }
}
