import AMQPModel
import CRabbitMQ
import Glibc
import Support

/// Opens one connection: TCP, TLS, login. Blocks for up to the options' `connectTimeout` twice (once for the socket and
/// TLS, once for the AMQP handshake), plus what name resolution takes, so it runs on a helper thread.
enum WireConnector {
    /// RabbitMQ's own limits; the broker's lower ones win.
    private static let channelMaximum: Int32 = 2047
    private static let frameMaximum: Int32 = 131_072

    static func connect(
        to address: BrokerAddress,
        role: ConnectionRole,
        options: ConnectionOptions
    ) throws(TransportError) -> WireConnection {
        if let tls = options.tls { try TLSFiles.validate(tls) }
        guard let state = amqp_new_connection() else { throw TransportError(.system, "out of memory") }
        var handedOver = false
        defer { if !handedOver { amqp_destroy_connection(state) } }
        try open(state, address, options)
        SocketOptions.prepare(
            amqp_get_sockfd(state),
            heartbeatSeconds: options.heartbeatSeconds,
            fixedSendBuffer: options.tls != nil
        )
        try login(state, address, role, options)
        let heartbeat = Int(amqp_get_heartbeat(state))
        // Switches the library's own heartbeats off, and with them the only calls in which it would send by itself;
        // the value agreed on with the broker stands and we keep to it.
        let status = amqp_tune_connection(state, amqp_get_channel_max(state), amqp_get_frame_max(state), 0)
        guard status == AMQP_STATUS_OK.rawValue else {
            throw TransportError(.system, WireConnection.text(status))
        }
        handedOver = true
        return WireConnection(state: state, encrypted: options.tls != nil, heartbeatSeconds: heartbeat)
    }

    private static func open(
        _ state: amqp_connection_state_t,
        _ address: BrokerAddress,
        _ options: ConnectionOptions
    ) throws(TransportError) {
        let made = options.tls == nil ? amqp_tcp_socket_new(state) : amqp_ssl_socket_new(state)
        guard let socket = made else { throw TransportError(.system, "cannot make a socket") }
        if let tls = options.tls { try TLSFiles.apply(tls, to: socket) }
        var timeout = interval(options.connectTimeout)
        let status = amqp_socket_open_noblock(socket, address.host, Int32(clamping: address.port), &timeout)
        let code = errno
        guard status != AMQP_STATUS_OK.rawValue else { return }
        throw openError(status, code, address, options)
    }

    private static func openError(
        _ status: Int32,
        _ code: Int32,
        _ address: BrokerAddress,
        _ options: ConnectionOptions
    ) -> TransportError {
        switch amqp_status_enum(rawValue: status) {
        case AMQP_STATUS_SSL_PEER_VERIFY_FAILED:
            let authorities = options.tls?.caFile ?? "the system's certificates"
            return TransportError(
                .tls,
                "certificate verify failed: no trusted authority in \(authorities) signed what \(address) presented"
            )
        case AMQP_STATUS_SSL_HOSTNAME_VERIFY_FAILED:
            return TransportError(.tls, "certificate verify failed: it is not for the host name \(address.host)")
        case AMQP_STATUS_SSL_CONNECTION_FAILED, AMQP_STATUS_SSL_ERROR:
            return TransportError(
                .tls,
                "TLS handshake with \(address) failed: no common version or cipher, certificate verify failed, "
                    + "or the port does not speak TLS"
            )
        case AMQP_STATUS_SOCKET_ERROR where code == EINPROGRESS:
            // The library has asked the socket why it did not connect, and keeps the answer to itself.
            return TransportError(.unreachable, "\(address) does not accept connections")
        case AMQP_STATUS_SOCKET_ERROR where code != 0:
            return TransportError(.unreachable, "\(address): \(SystemCall.text(code))")
        default:
            return TransportError(.unreachable, "\(address): \(WireConnection.text(status))")
        }
    }

    private static func login(
        _ state: amqp_connection_state_t,
        _ address: BrokerAddress,
        _ role: ConnectionRole,
        _ options: ConnectionOptions
    ) throws(TransportError) {
        var timeout = interval(options.connectTimeout)
        amqp_set_handshake_timeout(state, &timeout)
        amqp_set_rpc_timeout(state, &timeout)
        var arena = WireArena()
        var properties = arena.table(clientProperties(options.connectionName, role))
        let heartbeat = Int32(clamping: options.heartbeatSeconds)
        let reply =
            options.external
            ? crmq_login_external(
                state,
                options.virtualHost,
                channelMaximum,
                frameMaximum,
                heartbeat,
                &properties,
                // The broker takes the name from the certificate; the library refuses an empty one.
                address.user.isEmpty ? "certificate" : address.user
            )
            : crmq_login_plain(
                state,
                options.virtualHost,
                channelMaximum,
                frameMaximum,
                heartbeat,
                &properties,
                address.user,
                address.password.secret
            )
        switch reply.reply_type {
        case AMQP_RESPONSE_NORMAL:
            return
        case AMQP_RESPONSE_SERVER_EXCEPTION:
            throw refusal(reply, address)
        default:
            throw loginError(reply.library_error, address, options)
        }
    }

    /// The broker closed the connection with a reason (oslo.messaging wire, section 15: 403 and 530).
    private static func refusal(_ reply: amqp_rpc_reply_t, _ address: BrokerAddress) -> TransportError {
        guard reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD, let decoded = reply.reply.decoded else {
            return TransportError(.protocolViolation, "\(address) answered the login with method \(reply.reply.id)")
        }
        let close = decoded.assumingMemoryBound(to: amqp_connection_close_t.self).pointee
        let text = WireValue.string(close.reply_text)
        let code: TransportError.Code = close.reply_code == 403 || close.reply_code == 530 ? .refused : .connectionLost
        return TransportError(code, "\(address) refuses: \(close.reply_code) \(text)")
    }

    private static func loginError(
        _ status: Int32,
        _ address: BrokerAddress,
        _ options: ConnectionOptions
    ) -> TransportError {
        if amqp_status_enum(rawValue: status) == AMQP_STATUS_BROKER_UNSUPPORTED_SASL_METHOD {
            let mechanism = options.external ? "EXTERNAL" : "PLAIN"
            return TransportError(.refused, "\(address) does not offer the login mechanism \(mechanism)")
        }
        if options.tls != nil, status <= AMQP_STATUS_SSL_ERROR.rawValue {
            return TransportError(.tls, "\(address) ended TLS during login; it may require another client certificate")
        }
        return TransportError(.unreachable, "\(address): login failed: \(WireConnection.text(status))")
    }

    /// What the broker and its operators are told about us (oslo.messaging wire, section 1). Without
    /// `consumer_cancel_notify` a deleted queue would silence its consumer for ever.
    private static func clientProperties(_ name: String, _ role: ConnectionRole) -> FieldTable {
        [
            "product": .string("vmops"),
            "platform": .string("Swift, librabbitmq \(String(cString: amqp_version()))"),
            "connection_name": .string(role == .consuming ? name : "\(name):\(role.rawValue)"),
            "capabilities": .table([
                "authentication_failure_close": .bool(true),
                "basic.nack": .bool(true),
                "connection.blocked": .bool(true),
                "consumer_cancel_notify": .bool(true),
                "publisher_confirms": .bool(true),
            ]),
        ]
    }

    private static func interval(_ duration: Duration) -> timeval {
        let nanoseconds = max(duration.nanoseconds, 1_000_000)
        return timeval(tv_sec: Int(nanoseconds / 1_000_000_000), tv_usec: Int(nanoseconds % 1_000_000_000 / 1000))
    }
}
