package import HostBackend
import Support
import Synchronization

extension QEMUHost {
    /// How long typed bytes may wait for the guest to take them.
    private static let typingTime = Duration.seconds(5)

    /// The output's reading end: everything since the start, or since where an earlier reader stopped.
    ///
    /// Also after the machine's end or departure, until what it printed last is read.
    package func openConsole(_ uuid: InstanceUUID) async throws -> ConsoleEndpoint {
        guard let machine = try findAny(uuid) else { throw BackendError(.notFound, "there is no machine \(uuid)") }
        let (pipes, isOn) = machine.state.withLock { ($0.pipes, $0.record.process != nil) }
        guard let pipes, isOn || pipes.waiting > 0 else {
            throw BackendError(.unavailable, "machine \(uuid) is not running")
        }
        return .descriptor(ConsoleDescriptor(fileDescriptor: try pipes.reader()))
    }

    /// Waits while the guest takes nothing, then throws `busy`; what it has taken by then stays typed.
    package func writeConsole(_ uuid: InstanceUUID, _ bytes: [UInt8]) async throws {
        let machine = try find(uuid)
        let (pipes, state) = machine.state.withLock { ($0.pipes, $0.record.state) }
        guard let pipes, [.running, .paused].contains(state) else { throw machine.refusal("type on the console of") }
        let limit = TimeLimit(Self.typingTime)
        var rest = bytes[...]
        while !rest.isEmpty {
            let taken = try pipes.type(rest)
            rest = rest.dropFirst(taken)
            if taken > 0 { continue }
            guard !limit.isOver else { throw BackendError(.busy, "machine \(uuid) does not read its console") }
            do {
                try await Task.sleep(for: .milliseconds(20))
            } catch {
                throw BackendError(.cancelled, "typing on the console of machine \(uuid) was cancelled")
            }
        }
    }
}
