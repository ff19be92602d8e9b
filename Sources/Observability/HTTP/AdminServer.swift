import Dispatch
package import Logging
import ServiceLifecycle

/// Serves `/healthz`, `/readyz`, `/metrics` and `/status` over HTTP.
///
/// The address is taken when the server is made, so that a taken one is told before anything starts. The server has a
/// thread of its own, a bounded number of connections (further ones are closed at once), and closes silent ones. On
/// graceful shutdown, and when cancelled, ``run()`` ends what is being answered, closes, and returns.
package final class AdminServer: Service {
    /// The address with the real port.
    package let address: AdminAddress
    private let socket: ListeningSocket
    private let answers: AdminAnswers
    private let maximumConnections: Int
    private let timeout: Duration
    private let logger: Logger

    /// - Throws: ``ObservabilityError`` when the address cannot be taken.
    package init(
        address: AdminAddress,
        maximumConnections: Int = 32,
        timeout: Duration = .seconds(10),
        answers: AdminAnswers,
        logger: Logger
    ) throws {
        socket = try ListeningSocket(address)
        self.address = socket.address
        self.answers = answers
        self.maximumConnections = maximumConnections
        self.timeout = timeout
        self.logger = logger
    }

    package func run() async throws {
        let daemon = try HTTPDaemon(
            socket: socket,
            connections: maximumConnections,
            timeoutSeconds: max(1, Int(timeout.components.seconds)),
            answers: answers
        )
        logger.info("admin server listens", metadata: ["address": "\(address)"])
        // Ends by graceful shutdown or by cancellation; the server is taken down the same way.
        try? await gracefulShutdown()
        await withCheckedContinuation { continuation in
            // Stopping joins the server's thread: not on the cooperative pool.
            DispatchQueue.global().async {
                daemon.stop()
                continuation.resume()
            }
        }
    }
}
