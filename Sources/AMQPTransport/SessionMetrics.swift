import Metrics
import Synchronization

/// Hands a session's counts to swift-metrics: once per batch, not per message.
struct SessionMetrics {
    private static let gaugeInterval = Duration.milliseconds(500)

    private let deliveries = Counter(label: "vmops_amqp_deliveries_total")
    private let published = Counter(label: "vmops_amqp_published_total")
    private let confirmed = Counter(label: "vmops_amqp_confirmed_total")
    private let returned = Counter(label: "vmops_amqp_returned_total")
    private let failed = Counter(label: "vmops_amqp_publish_failed_total")
    private let oversized = Counter(label: "vmops_amqp_oversized_total")
    private let reconnects = Counter(label: "vmops_amqp_reconnects_total")
    private let consumersCancelled = Counter(label: "vmops_amqp_consumers_cancelled_total")
    private let topologyMismatches = Counter(label: "vmops_amqp_topology_mismatches_total")
    private let outboundMessages = Gauge(label: "vmops_amqp_outbound_messages")
    private let outboundBytes = Gauge(label: "vmops_amqp_outbound_bytes")
    private var seen = [UInt64](repeating: 0, count: 9)
    private var gaugesAt = Moment(nanoseconds: 0)

    mutating func export(_ counters: SessionCounters, now: Moment) {
        update(0, counters.deliveries.load(ordering: .relaxed), deliveries)
        update(1, counters.published.load(ordering: .relaxed), published)
        update(2, counters.confirmed.load(ordering: .relaxed), confirmed)
        update(3, counters.returned.load(ordering: .relaxed), returned)
        update(4, counters.failed.load(ordering: .relaxed), failed)
        update(5, counters.oversized.load(ordering: .relaxed), oversized)
        update(6, counters.reconnects.load(ordering: .relaxed), reconnects)
        update(7, counters.consumersCancelled.load(ordering: .relaxed), consumersCancelled)
        update(8, counters.topologyMismatches.load(ordering: .relaxed), topologyMismatches)
        guard gaugesAt <= now else { return }
        gaugesAt = now + Self.gaugeInterval
        outboundMessages.record(counters.outboundMessages.load(ordering: .relaxed))
        outboundBytes.record(counters.outboundBytes.load(ordering: .relaxed))
    }

    private mutating func update(_ index: Int, _ value: UInt64, _ counter: Counter) {
        guard value != seen[index] else { return }
        counter.increment(by: Int64(clamping: value &- seen[index]))
        seen[index] = value
    }
}
