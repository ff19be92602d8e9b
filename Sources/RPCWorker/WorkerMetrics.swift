import Metrics
import OsloMessaging
import Synchronization

/// The worker's metric handles, made once. Labels take values from bounded sets only: methods that endpoints have, and
/// the codes of rejections.
final class WorkerMetrics: Sendable {
    let received = Counter(label: "vmops_rpc_received_total")
    let duplicates = Counter(label: "vmops_rpc_duplicates_total")
    let expired = Counter(label: "vmops_rpc_expired_total")
    let heartbeats = Counter(label: "vmops_rpc_heartbeats_total")
    let recovered = Counter(label: "vmops_rpc_recovered_total")
    let running = Meter(label: "vmops_rpc_running")
    let queued = Meter(label: "vmops_rpc_queued")
    let held = Meter(label: "vmops_rpc_held")
    let repliesOwed = Meter(label: "vmops_rpc_replies_owed")
    let repliesDropped = Counter(label: "vmops_rpc_replies_dropped_total")
    /// Left in the journals by a shutdown.
    let repliesLeft = Counter(label: "vmops_rpc_replies_left_total")

    private struct MethodHandles {
        let duration: Metrics.Timer
        let failures: Counter
    }

    private let methods = Mutex<[String: MethodHandles]>([:])
    private let rejections = Mutex<[MessageRejection.Code: Counter]>([:])

    /// Called under the lock of the admission, so that the last to come is the last that is shown.
    func note(_ admission: Admission<MutatingTicket>) {
        running.set(admission.running)
        queued.set(admission.waiting)
        held.set(admission.held)
    }

    func rejected(_ code: MessageRejection.Code) {
        let counter = rejections.withLock { counters in
            if let counter = counters[code] { return counter }
            let counter = Counter(
                label: "vmops_rpc_rejected_total",
                dimensions: [("reason", code.description.replacing(" ", with: "_"))]
            )
            counters[code] = counter
            return counter
        }
        counter.increment()
    }

    /// - Parameter method: one that an endpoint has, or `nil`.
    func ended(_ method: String?, after duration: Duration, failed: Bool) {
        let name = method ?? "unknown"
        let handles = methods.withLock { methods in
            if let handles = methods[name] { return handles }
            let handles = MethodHandles(
                duration: Metrics.Timer(label: "vmops_rpc_duration_seconds", dimensions: [("method", name)]),
                failures: Counter(label: "vmops_rpc_failures_total", dimensions: [("method", name)])
            )
            methods[name] = handles
            return handles
        }
        handles.duration.recordNanoseconds(duration.nanoseconds)
        if failed { handles.failures.increment() }
    }
}
