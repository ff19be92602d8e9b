import CMicroHTTPD
import Synchronization

/// Owns libmicrohttpd's daemon and its thread.
///
/// The daemon's pointer is behind a mutex and used by ``stop()`` alone, once. The context handed to C is this
/// daemon's ``Handler``, retained until the daemon's thread has been joined.
final class HTTPDaemon: Sendable {
    private final class Handler: Sendable {
        let answers: AdminAnswers
        init(_ answers: AdminAnswers) { self.answers = answers }
    }

    private struct Running: @unchecked Sendable {
        // Unchecked because a C pointer is not Sendable; it only ever moves out of the mutex into `stop()`.
        let daemon: OpaquePointer
        let handler: Unmanaged<Handler>
    }

    private let running: Mutex<Running?>
    private let socket: ListeningSocket

    /// - Throws: ``ObservabilityError`` when the library cannot start.
    init(socket: ListeningSocket, connections: Int, timeoutSeconds: Int, answers: AdminAnswers) throws {
        self.socket = socket
        // The library closes the descriptor it is given when it stops.
        let descriptor = try socket.takeDescriptor()
        let handler = Unmanaged.passRetained(Handler(answers))
        let daemon = vmops_start_http(
            descriptor,
            UInt32(clamping: connections),
            UInt32(clamping: timeoutSeconds),
            { context, connection, path, method, _, _, _, _ in
                HTTPDaemon.answer(context, connection, path, method)
            },
            handler.toOpaque()
        )
        guard let daemon else {
            handler.release()
            throw ObservabilityError(.server, "the admin server could not be started")
        }
        running = Mutex(Running(daemon: daemon, handler: handler))
    }

    deinit { stop() }

    /// Stops listening, ends open connections and waits for the thread; blocking, harmless when repeated.
    func stop() {
        let running = running.withLock { running in
            defer { running = nil }
            return running
        }
        guard let running else { return }
        MHD_stop_daemon(running.daemon)
        running.handler.release()
        socket.removeFile()
    }

    /// Runs on the library's thread with pointers that are valid for the call. A request with a body is answered
    /// before the body is read, which makes the library close the connection.
    private static func answer(
        _ context: UnsafeMutableRawPointer?,
        _ connection: OpaquePointer?,
        _ path: UnsafePointer<CChar>?,
        _ method: UnsafePointer<CChar>?
    ) -> MHD_Result {
        guard let context, let connection, let path, let method else { return .NO }
        let handler = Unmanaged<Handler>.fromOpaque(context).takeUnretainedValue()
        let answer = handler.answers.response(method: String(cString: method), path: String(cString: path))
        var body = Array(answer.body.utf8)
        let response = body.withUnsafeMutableBytes { bytes in
            MHD_create_response_from_buffer(bytes.count, bytes.baseAddress, .RESPMEM_MUST_COPY)
        }
        guard let response else { return .NO }
        defer { MHD_destroy_response(response) }
        MHD_add_response_header(response, "Content-Type", answer.contentType)
        MHD_add_response_header(response, "Cache-Control", "no-store")
        MHD_add_response_header(response, "X-Content-Type-Options", "nosniff")
        if let allow = answer.allow { MHD_add_response_header(response, "Allow", allow) }
        return MHD_queue_response(connection, UInt32(answer.status), response)
    }
}
