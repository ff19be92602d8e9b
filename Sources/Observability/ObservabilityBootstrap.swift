import CoreMetrics
import Logging

/// Installs logs and metrics for the process; once, before anything logs.
package enum ObservabilityBootstrap {
    package static func logging(sink: LogSink, format: LineLogHandler.Format, level: LogLevelControl) {
        LoggingSystem.bootstrap { label in
            LineLogHandler(label: label, format: format, sink: sink, level: level)
        }
    }

    /// Every metric made from now on lives in the registry.
    package static func metrics(_ registry: MetricsRegistry) {
        MetricsSystem.bootstrap(registry)
        ProcessMetrics.register(in: registry)
    }
}
