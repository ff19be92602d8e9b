import DiskImages
import HostBackend
import Logging
import Processes
import Support

/// What all machines of a host share.
struct MachineServices: Sendable {
    let settings: QEMUSettings
    /// Found out when the host connects.
    let command: QEMUCommand
    /// What new machines get.
    let platform: Platform
    let bootID: String
    let stateDirectory: String
    let processes: Processes
    let network: HostNetwork
    let reactor: Reactor
    let events: EventHub
    let work: FileWork
    let logger: Logger

    func files(_ uuid: InstanceUUID) -> MachineFiles { MachineFiles(stateDirectory: stateDirectory, uuid: uuid) }
}

/// Runs `body` whether or not the calling task is cancelled: what takes a step back must not stop half-way.
func unlessCancelled<Result: Sendable>(_ body: @escaping @Sendable () async -> Result) async -> Result {
    // Awaited right here; unstructured only so that the caller's cancellation does not reach it.
    await Task { await body() }.value
}

/// How much of a deadline is left.
struct TimeLimit: Sendable {
    private let end: ContinuousClock.Instant

    init(_ limit: Duration) { end = .now + limit }

    var remaining: Duration { max(.zero, end - .now) }
    var isOver: Bool { remaining == .zero }

    /// The smaller of the two.
    func atMost(_ limit: Duration) -> Duration { min(limit, remaining) }
}
