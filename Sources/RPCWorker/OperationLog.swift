import AMQPTransport
import Logging
import OsloMessaging
import Support
import Synchronization

/// Metadata keys of this library's log lines.
enum LogKey {
    static let requestID = "request_id"
    static let host = "host"
    static let instance = "instance"
    static let method = "method"
    static let outcome = "outcome"
    static let duration = "duration_ms"
    static let waited = "waited_ms"
    static let reason = "reason"
    static let error = "error"
    static let queue = "queue"
    static let exchange = "exchange"
    static let routingKey = "routing_key"
    static let bytes = "bytes"
    static let suppressed = "suppressed"
    static let count = "count"
}

/// How a request ended, for the log.
enum OperationOutcome {
    case succeeded
    case failed(RemoteFailure)
    case expired

    init(_ result: Result<JSONValue, RemoteFailure>) {
        switch result {
        case .success: self = .succeeded
        case .failure(let failure): self = .failed(failure)
        }
    }

    var text: String {
        switch self {
        case .succeeded: "ok"
        case .failed(let failure): failure.className
        case .expired: "expired"
        }
    }

    var isFailure: Bool { if case .failed = self { true } else { false } }
}

/// Writes one line per operation. Arguments are never written, only the instance they name.
struct OperationLog: Sendable {
    private let logger: Logger
    private let rejections = LogLimiter(perSecond: 20)

    init(logger: Logger) { self.logger = logger }

    /// Mutating operations and failures at info, other reads at debug.
    ///
    /// - Parameters:
    ///   - duration: from its reception to its end.
    ///   - waited: of this, until its turn came; `nil` for what does not queue.
    func ended(
        _ request: RPCRequest,
        host: String,
        outcome: OperationOutcome,
        duration: Duration,
        waited: Duration? = nil,
        isRead: Bool
    ) {
        let level: Logger.Level = isRead && !outcome.isFailure ? .debug : .info
        guard logger.logLevel <= level else { return }
        var metadata: Logger.Metadata = [
            LogKey.host: "\(host)",
            LogKey.method: "\(Self.clip(request.method))",
            LogKey.outcome: "\(outcome.text)",
            LogKey.duration: Self.milliseconds(duration),
        ]
        if let waited { metadata[LogKey.waited] = Self.milliseconds(waited) }
        if let id = request.requestID { metadata[LogKey.requestID] = "\(Self.clip(id))" }
        if let instance = Self.instance(request.args) { metadata[LogKey.instance] = "\(instance)" }
        if case .failed(let failure) = outcome { metadata[LogKey.reason] = "\(Self.clip(failure.message, 500))" }
        logger.log(level: level, "operation", metadata: metadata)
    }

    private static func milliseconds(_ duration: Duration) -> Logger.MetadataValue {
        "\(Double(duration.nanoseconds / 1_000) / 1_000)"
    }

    /// An error that no method declares: worth somebody's attention.
    func unexpected(_ error: any Error, method: String, host: String) {
        logger.error(
            "method failed unexpectedly",
            metadata: [LogKey.host: "\(host)", LogKey.method: "\(method)", LogKey.error: "\(error)"]
        )
    }

    func rejected(_ delivery: Delivery, reason: String) {
        guard let suppressed = rejections.admit() else { return }
        var metadata: Logger.Metadata = [
            LogKey.reason: "\(reason)",
            LogKey.bytes: "\(max(UInt64(delivery.body.count), delivery.discardedBytes))",
            LogKey.exchange: "\(Self.clip(delivery.exchange))",
            LogKey.routingKey: "\(Self.clip(delivery.routingKey))",
        ]
        if suppressed > 0 { metadata[LogKey.suppressed] = "\(suppressed)" }
        logger.warning("message rejected", metadata: metadata)
    }

    /// The uuid of the instance that the arguments name, plain or as one of Nova's objects.
    static func instance(_ args: JSONObject) -> String? {
        let named = args["instance"]
        let uuid =
            named?["uuid"]?.stringValue ?? named?["nova_object.data"]?["uuid"]?.stringValue
            ?? args["instance_uuid"]?.stringValue
        return uuid.map { clip($0) }
    }

    /// What comes from outside is cut: a log line stays a line of bearable length.
    static func clip(_ text: String, _ limit: Int = 80) -> String {
        text.utf8.count <= limit ? text : String(text.prefix(limit)) + "…"
    }
}

/// Lets so many lines through per second and counts the others.
final class LogLimiter: Sendable {
    private struct State {
        var second: ContinuousClock.Instant = .now
        var lines = 0
        var suppressed = 0
    }

    private let perSecond: Int
    private let state = Mutex(State())

    init(perSecond: Int) { self.perSecond = perSecond }

    /// - Returns: how many were held back since the last one let through; `nil` = hold this one back too.
    func admit(now: ContinuousClock.Instant = .now) -> Int? {
        state.withLock { state in
            if now - state.second >= .seconds(1) {
                state.second = now
                state.lines = 0
            }
            guard state.lines < perSecond else {
                state.suppressed += 1
                return nil
            }
            state.lines += 1
            defer { state.suppressed = 0 }
            return state.suppressed
        }
    }
}
