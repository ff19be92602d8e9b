import Configuration
import JSONCodec
import Logging
import Observability
import PluginHost
import RPCWorker
import Support

/// Logs, metrics and the admin endpoint of the process.
struct ObservabilityStack: Sendable {
    private let sink: LogSink
    private let level: LogLevelControl
    private let registry = MetricsRegistry()

    init(_ settings: Settings) throws {
        sink = try LogSink(settings.log.file.map { .file(path: $0) } ?? .standardError)
        level = LogLevelControl(Logger.Level(settings.log.level))
        let format: LineLogHandler.Format = settings.log.format == .json ? .json : .text
        ObservabilityBootstrap.logging(sink: sink, format: format, level: level)
        ObservabilityBootstrap.metrics(registry)
    }

    func apply(_ settings: Settings) {
        level.level = Logger.Level(settings.log.level)
        sink.reopen()
    }

    func flush() async { await sink.flush() }

    func adminServer(_ settings: Settings, workers: WorkerSet, hosts: HostFleet) throws -> AdminServer? {
        guard settings.admin.isEnabled else { return nil }
        let address: AdminAddress =
            switch settings.admin.listen {
            case .unix(let path): .unix(path: path)
            case .tcp(let host, let port): .tcp(host: host, port: port)
            }
        let registry = registry
        return try AdminServer(
            address: address,
            maximumConnections: settings.admin.maxConnections,
            timeout: settings.admin.timeout,
            answers: AdminAnswers(
                health: { .good },
                readiness: { workers.status.isReady ? .good : .bad(reasons: ["not connected to the broker"]) },
                metrics: { registry.exposition() },
                status: { StatusDocument.text(workers.status, hosts) }
            ),
            logger: Logger(label: "admin")
        )
    }
}

/// The document behind `/status`.
enum StatusDocument {
    static func text(_ status: RPCWorkerStatus, _ hosts: HostFleet) -> String {
        let document: JSONValue = [
            "version": .string(Version.text),
            "ready": .bool(status.isReady),
            "operations": [
                "running": .int(Int64(status.running)),
                "queued": .int(Int64(status.queued)),
                "held": .int(Int64(status.held)),
                "outstanding": .int(Int64(status.outstanding)),
                "monitored_calls": .int(Int64(status.monitoredCalls)),
                "replies_owed": .int(Int64(status.repliesOwed)),
            ],
            "hosts": .array(
                hosts.load.map { load in
                    var host: JSONObject = [
                        "name": .string(load.host),
                        "instances": .int(Int64(load.instances)),
                        "operations": .int(Int64(load.operations)),
                    ]
                    host["refused"] = load.refusal.map(JSONValue.string)
                    host["plugin"] = load.plugin.map { .object($0.json) }
                    return .object(host)
                }
            ),
        ]
        return (try? JSONWriter.bytes(of: document)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
    }
}
