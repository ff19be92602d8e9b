import Glibc

/// Tells systemd, or whoever set `NOTIFY_SOCKET`, how the service is; does nothing without one.
///
/// Each message is one datagram that is never waited for: a manager that does not listen costs nothing.
package struct SystemdNotifier: Sendable {
    private let socketPath: String?
    /// How often to send ``watchdog()``, half of what systemd allows; `nil` when it does not watch us.
    package let watchdogInterval: Duration?

    /// - Parameters:
    ///   - environment: `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` are read from it.
    ///   - processID: ours, to tell whether the watchdog is meant for us.
    package init(environment: [String: String], processID: Int32 = getpid()) {
        socketPath = environment["NOTIFY_SOCKET"].flatMap { $0.isEmpty ? nil : $0 }
        let isForUs = environment["WATCHDOG_PID"].map { $0 == String(processID) } ?? true
        let period = environment["WATCHDOG_USEC"].flatMap(Int64.init)
        watchdogInterval = isForUs ? period.flatMap { $0 > 0 ? .microseconds($0 / 2) : nil } : nil
    }

    package var isActive: Bool { socketPath != nil }

    /// The service serves.
    @discardableResult
    package func ready(status: String? = nil) -> Bool { send("READY=1" + Self.line(status)) }

    /// The service has begun to stop.
    @discardableResult
    package func stopping(status: String? = nil) -> Bool { send("STOPPING=1" + Self.line(status)) }

    /// The service reads its configuration again; ``ready(status:)`` must follow.
    @discardableResult
    package func reloading() -> Bool {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        let micros = Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
        return send("RELOADING=1\nMONOTONIC_USEC=\(micros)")
    }

    /// A sign of life.
    @discardableResult
    package func watchdog() -> Bool { send("WATCHDOG=1") }

    /// One line that `systemctl status` shows.
    @discardableResult
    package func status(_ text: String) -> Bool { send(String(Self.line(text).dropFirst())) }

    private static func line(_ status: String?) -> String {
        status.map { "\nSTATUS=" + $0.replacing("\n", with: " ") } ?? ""
    }

    /// Whether the datagram was handed to the system; `false` also without a socket to send it to.
    private func send(_ message: String) -> Bool {
        guard let socketPath, let address = try? ResolvedAddress(unixPath: socketPath) else { return false }
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        let bytes = Array(message.utf8)
        let flags = Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)
        return address.withPointer { sendto(descriptor, bytes, bytes.count, flags, $0, $1) } == bytes.count
    }
}
