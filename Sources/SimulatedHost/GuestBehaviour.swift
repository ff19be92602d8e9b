package import HostBackend

/// How a simulated guest behaves. Defaults come from the host's settings; `sim.*` keys of the instance's metadata
/// change them for one guest.
package struct GuestBehaviour: Sendable, Hashable {
    package enum ConsoleMode: String, Sendable, Hashable, CaseIterable {
        /// Boot log, login prompt, numbered lines.
        case text
        /// Prints nothing, not even an echo.
        case silent
        /// After the boot log, numbered lines as fast as the reader takes them.
        case flood
        /// All 256 byte values over and over instead of text: 4 KiB at boot, 256 bytes instead of each line.
        case binary
        /// Text, but the endpoint closes by itself after every ``GuestBehaviour/disconnectBytes``; nothing is lost.
        case disconnect
    }

    package enum Shutdown: Sendable, Hashable {
        /// Shuts down after ``GuestBehaviour/shutdownMilliseconds``.
        case obeys
        /// Accepts the request and goes on.
        case ignores
        /// Answers "not ready" that often, then obeys; `nil` = always.
        case notReady(Int?)
        case unsupported
    }

    /// `sim.boot_lines`: numbered lines of the boot log.
    package var bootLines: UInt64 = 20
    /// `sim.boot_ms`: time from start to the login prompt; before it a shutdown request is answered "not ready".
    package var bootMilliseconds: UInt64 = 0
    /// `sim.lines_per_second`: `line 1`, `line 2`, … from the login prompt on; 0 = none.
    package var linesPerSecond: Double = 0
    /// `sim.line_bytes`: numbered lines are filled up with dots to this length, line feed included; 0 = as they are.
    package var lineBytes: Int = 0
    /// `sim.console_mode`.
    package var consoleMode: ConsoleMode = .text
    /// `sim.disconnect_bytes`, for the mode `disconnect`.
    package var disconnectBytes: Int = 4096
    /// `sim.shutdown`: `obey`, `ignore`, `not_ready`, `not_ready:N`, `unsupported`; and `sim.ignore_shutdown`: `true`.
    package var shutdown: Shutdown = .obeys
    /// `sim.shutdown_ms`: from the accepted request to off.
    package var shutdownMilliseconds: UInt64 = 100
    /// `sim.crash_after_ms`, `sim.poweroff_after_ms`, `sim.reboot_after_ms`: what the guest does by itself, that long
    /// after each boot.
    package var crashAfterMilliseconds: UInt64?
    package var poweroffAfterMilliseconds: UInt64?
    package var rebootAfterMilliseconds: UInt64?

    package init() {}

    /// Applies one `sim.` key, given without the prefix.
    ///
    /// - Returns: `false` when the key is not one of the above.
    /// - Throws: `invalidArgument` when the value does not fit.
    package mutating func set(_ key: some StringProtocol, _ value: String) throws(BackendError) -> Bool {
        func bad() -> BackendError { BackendError(.invalidArgument, "sim.\(key): bad value \(value.prefix(100))") }
        func milliseconds() throws(BackendError) -> UInt64 {
            guard let number = UInt32(value) else { throw bad() }
            return UInt64(number)
        }
        switch String(key) {
        case "boot_lines": bootLines = try milliseconds()
        case "boot_ms": bootMilliseconds = try milliseconds()
        case "lines_per_second":
            guard let rate = Double(value), (0...1_000_000).contains(rate) else { throw bad() }
            linesPerSecond = rate
        case "line_bytes":
            guard let bytes = Int(value), (0...4096).contains(bytes) else { throw bad() }
            lineBytes = bytes
        case "console_mode":
            guard let mode = ConsoleMode(rawValue: value) else { throw bad() }
            consoleMode = mode
        case "disconnect_bytes":
            guard let bytes = Int(value), (1...1 << 30).contains(bytes) else { throw bad() }
            disconnectBytes = bytes
        case "shutdown":
            guard let mode = Shutdown(text: value) else { throw bad() }
            shutdown = mode
        case "ignore_shutdown":
            switch value.lowercased() {
            case "true", "1", "yes": shutdown = .ignores
            case "false", "0", "no": if shutdown == .ignores { shutdown = .obeys }
            default: throw bad()
            }
        case "shutdown_ms": shutdownMilliseconds = try milliseconds()
        case "crash_after_ms": crashAfterMilliseconds = try milliseconds()
        case "poweroff_after_ms": poweroffAfterMilliseconds = try milliseconds()
        case "reboot_after_ms": rebootAfterMilliseconds = try milliseconds()
        default: return false
        }
        return true
    }

    /// The behaviour of one guest.
    ///
    /// - Throws: `invalidArgument` for an unknown `sim.` key, so that a misspelt one does not pass for a guest that
    ///   behaves.
    package func applying(_ metadata: [String: String]) throws(BackendError) -> GuestBehaviour {
        var behaviour = self
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) where key.hasPrefix("sim.") {
            if key.hasPrefix("sim.fault.") || key.hasPrefix("sim.delay.") { continue }
            guard try behaviour.set(key.dropFirst(4), value) else {
                throw BackendError(.invalidArgument, "\(key): the simulated host knows no such key")
            }
        }
        return behaviour
    }
}

extension GuestBehaviour.Shutdown {
    /// `obey`, `ignore`, `not_ready`, `not_ready:N`, `unsupported`.
    package init?(text: String) {
        switch text {
        case "obey": self = .obeys
        case "ignore": self = .ignores
        case "unsupported": self = .unsupported
        case "not_ready": self = .notReady(nil)
        default:
            guard text.hasPrefix("not_ready:"), let count = Int(text.dropFirst(10)), count > 0 else { return nil }
            self = .notReady(count)
        }
    }
}
