/// How serial consoles are captured and read (VMOps semantics, section 3.4).
package struct ConsoleSettings: Sendable, Hashable {
    package var segmentBytes: Int
    package var archives: Int
    package var onStop: ConsoleStopRule
    package var reconnectInitial: Duration
    package var reconnectMax: Duration
    package var drainTimeout: Duration
    package var flushInterval: Duration
    /// Memory per console for output the disk is too slow for; beyond it the oldest is dropped and counted.
    package var maxPendingBytes: Int
    /// How long a full memory holds a guest up before anything is dropped.
    package var stallLimit: Duration
    package var maxReplyBytes: Int
    package var replyCharset: ConsoleCharset
    package var stripControl: Bool
    /// How often the state of a machine that is to go off is asked for.
    package var pollInterval: Duration
    package var spinLimit: Int
    package var spinWindow: Duration

    init(_ reader: SettingsReader) {
        segmentBytes = reader[ConsoleOptions.segmentBytes]
        archives = reader[ConsoleOptions.archives]
        onStop = reader[ConsoleOptions.onStop]
        reconnectInitial = reader[ConsoleOptions.reconnectInitial]
        reconnectMax = reader[ConsoleOptions.reconnectMax]
        drainTimeout = reader[ConsoleOptions.drainTimeout]
        flushInterval = reader[ConsoleOptions.flushInterval]
        maxPendingBytes = reader[ConsoleOptions.maxPendingBytes]
        stallLimit = reader[ConsoleOptions.stallLimit]
        maxReplyBytes = reader[ConsoleOptions.maxReplyBytes]
        replyCharset = reader[ConsoleOptions.replyCharset]
        stripControl = reader[ConsoleOptions.stripControl]
        pollInterval = reader[ConsoleOptions.pollInterval]
        spinLimit = reader[ConsoleOptions.spinLimit]
        spinWindow = reader[ConsoleOptions.spinWindow]
    }
}
