import Synchronization

/// Counts that the I/O thread keeps and anybody reads.
final class SessionCounters: Sendable {
    let deliveries = Atomic<UInt64>(0)
    let published = Atomic<UInt64>(0)
    let confirmed = Atomic<UInt64>(0)
    let returned = Atomic<UInt64>(0)
    let failed = Atomic<UInt64>(0)
    let oversized = Atomic<UInt64>(0)
    let reconnects = Atomic<UInt64>(0)
    let consumersCancelled = Atomic<UInt64>(0)
    let topologyMismatches = Atomic<UInt64>(0)
    /// Monotonic nanoseconds; 0 = never.
    let lastDelivery = Atomic<Int64>(0)
    let lastPublish = Atomic<Int64>(0)
    /// Messages that wait to be sent or confirmed; also changed by publishing threads.
    let outboundMessages = Atomic<Int>(0)
    let outboundBytes = Atomic<Int>(0)
}

extension Atomic where Value == UInt64 {
    /// For counts that one thread alone changes: cheaper than an atomic addition.
    func countUp(by amount: UInt64 = 1) {
        store(load(ordering: .relaxed) &+ amount, ordering: .relaxed)
    }
}
