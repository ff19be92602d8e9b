package import Logging

/// Writes each event as one line, as text or as JSON, to a shared sink.
///
/// Secrets are masked before anything is formatted. A handler whose ``logLevel`` was set keeps that level; all others
/// follow the shared ``LogLevelControl``.
package struct LineLogHandler: LogHandler {
    package enum Format: Sendable {
        /// `<time> <level> <message> key=value …`
        case text
        /// One JSON object with `time`, `level`, `logger`, `message` and the metadata's keys under `metadata`.
        case json
    }

    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?

    private let label: String
    private let format: Format
    private let sink: LogSink
    private let control: LogLevelControl
    private let clock: @Sendable () -> Timestamp
    private var ownLevel: Logger.Level?

    package init(
        label: String,
        format: Format,
        sink: LogSink,
        level: LogLevelControl,
        metadataProvider: Logger.MetadataProvider? = nil,
        clock: @escaping @Sendable () -> Timestamp = Timestamp.now
    ) {
        self.label = label
        self.format = format
        self.sink = sink
        control = level
        self.metadataProvider = metadataProvider
        self.clock = clock
    }

    package var logLevel: Logger.Level {
        get { ownLevel ?? control.level }
        set { ownLevel = newValue }
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var merged = metadata
        if let provided = metadataProvider?.get() { merged.merge(provided) { _, new in new } }
        if let own = event.metadata { merged.merge(own) { _, new in new } }
        if let error = event.error { merged["error"] = .string("\(error)") }
        let entry = LogEntry(
            time: clock(),
            level: event.level,
            label: label,
            message: SecretScrubber.scrub(event.message.description),
            metadata: SecretScrubber.scrub(merged)
        )
        switch format {
        case .text: sink.append(TextLine.bytes(entry))
        case .json: sink.append(JSONLine.bytes(entry))
        }
    }
}

/// What a line is made of, secrets masked.
struct LogEntry {
    var time: Timestamp
    var level: Logger.Level
    var label: String
    var message: String
    var metadata: Logger.Metadata
}
