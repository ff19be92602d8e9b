import CoreMetrics
import Metrics

/// The console's metrics of one host; handles are made once.
struct ConsoleMetrics: Sendable {
    private let bytesIn: Counter
    private let bytesWritten: Counter
    private let dropped: Counter
    private let rotations: Counter
    private let reconnects: Counter
    private let open: Gauge

    init(host: String) {
        let labels = [("host", host)]
        bytesIn = Counter(label: "vmops_console_bytes_in_total", dimensions: labels)
        bytesWritten = Counter(label: "vmops_console_bytes_written_total", dimensions: labels)
        dropped = Counter(label: "vmops_console_bytes_dropped_total", dimensions: labels)
        rotations = Counter(label: "vmops_console_rotations_total", dimensions: labels)
        reconnects = Counter(label: "vmops_console_reconnects_total", dimensions: labels)
        open = Gauge(label: "vmops_console_open", dimensions: labels)
    }

    func captured(bytes: Int64, dropped: Int64) {
        if bytes > 0 { bytesIn.increment(by: bytes) }
        if dropped > 0 { self.dropped.increment(by: dropped) }
    }

    func wrote(bytes: Int, rotations: Int64) {
        if bytes > 0 { bytesWritten.increment(by: bytes) }
        if rotations > 0 { self.rotations.increment(by: rotations) }
    }

    func reconnected() { reconnects.increment() }

    func sessions(_ count: Int) { open.record(count) }
}
