/// `[console]`: capture, rotation and reading of serial consoles (VMOps semantics, section 3.4).
package enum ConsoleOptions {
    static let group = "console"
    private static let both: OptionTraits = [.reloadable, .perHost]

    static let segmentBytes = OptionKey<Int>.integer(
        group,
        "segment_bytes",
        default: 524_288,
        in: 1024...1 << 40,
        traits: both,
        "Size of one file of a console log."
    )
    static let archives = OptionKey<Int>.integer(
        group,
        "archives",
        default: 1,
        in: 0...10_000,
        traits: both,
        "Files kept beside the current one."
    )
    static let onStop = OptionKey<ConsoleStopRule>.choice(
        group,
        "on_stop",
        default: .keep,
        traits: both,
        "What becomes of the log when the machine is switched off or reset."
    )
    static let reconnectInitial = OptionKey<Duration>.milliseconds(
        group,
        "reconnect_initial_ms",
        default: 50,
        in: 1...3_600_000,
        traits: both,
        "First pause before a console is opened again."
    )
    static let reconnectMax = OptionKey<Duration>.milliseconds(
        group,
        "reconnect_max_ms",
        default: 2000,
        in: 1...3_600_000,
        traits: both,
        "Longest such pause."
    )
    static let drainTimeout = OptionKey<Duration>.milliseconds(
        group,
        "drain_timeout_ms",
        default: 2000,
        in: 0...3_600_000,
        traits: both,
        "How long the last output of a stopped machine is waited for."
    )
    static let flushInterval = OptionKey<Duration>.milliseconds(
        group,
        "flush_interval_ms",
        default: 200,
        in: 0...60_000,
        traits: both,
        "Longest time that captured bytes are held back from the file."
    )
    static let maxPendingBytes = OptionKey<Int>.integer(
        group,
        "max_pending_bytes",
        default: 1_048_576,
        in: 4096...1 << 32,
        traits: both,
        "Memory per console for output that the disk is too slow for; beyond it the oldest is dropped and counted."
    )
    static let stallLimit = OptionKey<Duration>.milliseconds(
        group,
        "stall_limit_ms",
        default: 1000,
        in: 0...3_600_000,
        traits: both,
        "How long a full buffer holds a guest up before the oldest output is dropped."
    )
    static let maxReplyBytes = OptionKey<Int>.integer(
        group,
        "max_reply_bytes",
        default: 1_048_576,
        in: 1024...1 << 30,
        traits: both,
        "Most console output in one answer; the newest is kept."
    )
    static let replyCharset = OptionKey<ConsoleCharset>.choice(
        group,
        "reply_charset",
        default: .utf8,
        traits: both,
        "Characters of get_console_output; ascii replaces all others by ?."
    )
    static let stripControl = OptionKey<Bool>.boolean(
        group,
        "strip_control",
        default: false,
        traits: both,
        "Leave control characters out of get_console_output."
    )
    static let pollInterval = OptionKey<Duration>.milliseconds(
        group,
        "poll_interval_ms",
        default: 500,
        in: 10...3_600_000,
        traits: both,
        "How often the state of a machine that is to go off is asked for."
    )
    static let spinLimit = OptionKey<Int>.integer(
        group,
        "spin_limit",
        default: 5,
        in: 1...1000,
        traits: both,
        "Ends of stream in a row that are followed by the short pause."
    )
    static let spinWindow = OptionKey<Duration>.milliseconds(
        group,
        "spin_window_ms",
        default: 1000,
        in: 1...3_600_000,
        traits: both,
        "Time within which they count as in a row."
    )

    static let all: [OptionDefinition] = [
        segmentBytes.definition, archives.definition, onStop.definition, reconnectInitial.definition,
        reconnectMax.definition, drainTimeout.definition, flushInterval.definition, maxPendingBytes.definition,
        stallLimit.definition, maxReplyBytes.definition, replyCharset.definition, stripControl.definition,
        pollInterval.definition, spinLimit.definition, spinWindow.definition,
    ]
}
