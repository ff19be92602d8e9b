import AMQPModel
import Logging
import Metrics
import OsloMessaging
import Support
import Synchronization

/// Runs requests, whichever session brought them: reads behind ``ReadGate``, mutating ones behind ``Admission`` and the
/// journal. Shared by all sessions of a worker.
///
/// Called from the sessions' I/O threads, the journals' committer threads and the tasks of operations; the two
/// mutexes are held for the pure decisions only.
final class RequestEngine: Sendable {
    let settings: RPCWorkerSettings
    let logger: Logger
    let log: OperationLog
    let metrics: WorkerMetrics
    let timers: TimerQueue
    let monitor: CallMonitor
    let tasks = OperationTasks()
    /// The same for reads that may wait.
    let reading = OperationTasks()
    /// Requests that were taken: reads until they are answered, mutating ones from journalling to their end.
    let outstanding = Outstanding()
    let decoder: RequestDecoder
    let admission: Mutex<Admission<MutatingTicket>>
    let reads: Mutex<ReadGate<ReadTicket>>
    /// Nothing new starts: the worker is closing.
    let isClosing = Atomic<Bool>(false)
    /// Another process goes on with what is not done when this one closes.
    let handsOver = Atomic<Bool>(false)
    /// How long a drain waits, see ``RPCWorkerSettings/drainTimeout``.
    let drainTimeout: Mutex<Duration>
    /// Waiting requests start only from here on.
    let isServing = Atomic<Bool>(false)
    /// For replies that are made on I/O threads, where it is not contended.
    private let encoder: Mutex<ReplyEncoder>

    init(hosts: Int, settings: RPCWorkerSettings, logger: Logger) {
        self.settings = settings
        drainTimeout = Mutex(settings.drainTimeout)
        self.logger = logger
        log = OperationLog(logger: logger)
        metrics = WorkerMetrics()
        timers = TimerQueue()
        monitor = CallMonitor(timers: timers, mandatory: settings.replies.mandatory, metrics: metrics)
        decoder = RequestDecoder(limits: settings.decoding, parser: settings.parser)
        admission = Mutex(Admission(hosts: hosts, limits: settings.admission))
        reads = Mutex(ReadGate(limit: settings.reads))
        encoder = Mutex(ReplyEncoder(mandatory: settings.replies.mandatory))
    }

    /// The final reply as a message. A result without a JSON form, or too large to be sent, becomes a failure.
    func reply(
        _ result: Result<JSONValue, RemoteFailure>,
        to address: ReplyAddress,
        method: String,
        host: String,
        requestID: String?
    ) -> OutboundMessage {
        switch result {
        case .success(let value):
            let message = encoder.withLock { $0.result(value, to: address) }
            guard message.body.count > settings.maximumMessageBytes else { return message }
            let failure = RemoteFailure.valueError("the result of \(method) is too large to be sent")
            return reply(.failure(failure), to: address, method: method, host: host, requestID: requestID)
        case .failure(let failure):
            let complete = failure.withTraceback(method: method, host: host, requestID: requestID)
            return encoder.withLock { $0.failure(complete, to: address) }
        }
    }

    /// Runs a handler and makes a failure of whatever it throws.
    func perform(
        _ request: RPCRequest,
        host: HostService,
        _ handler: (RPCRequest) async throws -> JSONValue
    ) async -> Result<JSONValue, RemoteFailure> {
        do {
            return .success(try await handler(request))
        } catch {
            return .failure(failure(of: error, request.method, host))
        }
    }

    /// What the caller is told about an error; those that no method declares are logged as well.
    func failure(of error: any Error, _ method: String, _ host: HostService) -> RemoteFailure {
        if !(error is RemoteFailure), !(error is CancellationError) {
            log.unexpected(error, method: method, host: host.name)
        }
        return RemoteFailure(describing: error)
    }

    /// The broker delivers again what was unsettled on a lost connection: copies that wait here are dropped.
    func forgetUnsettled(on link: BrokerLink) {
        let mutating = admission.withLock { $0.dropHeld { $0.host.link === link } }
        for ticket in mutating { monitor.end(ticket.watch) }
        let waiting = reads.withLock { $0.drop { $0.host.link === link && $0.receipt != nil } }
        for ticket in waiting { monitor.end(ticket.watch) }
    }

    func noteAdmission() { admission.withLock { metrics.note($0) } }
}
