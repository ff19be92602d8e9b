import HostBackend
import Support
import Synchronization

extension SimulatedHost {
    /// Does a primitive's work, with the delay and the faults that are planned for it.
    ///
    /// - Parameters:
    ///   - deadline: a delay beyond it ends with `timeout`.
    ///   - metadata: of an instance that is not in the inventory.
    func perform<Result>(
        _ primitive: Primitive,
        _ uuid: InstanceUUID? = nil,
        deadline: Duration? = nil,
        metadata: [String: String]? = nil,
        _ body: () async throws -> Result
    ) async throws -> Result {
        guard inventory.withLock({ $0.isConnected }) else {
            throw BackendError(.unavailable, "host \(name) is not in service")
        }
        let request = RequestContext.current
        let uuid = uuid ?? request?.uuid
        let plan = try plan(for: uuid, metadata, request)
        let decision = injector.decide(primitive, uuid, plan)
        do {
            try await wait(decision.delay, primitive, deadline)
            try await world.hook?(name, primitive, uuid)
            try await decision.before?.meet(primitive, world.reactor)
            let result = try await body()
            try await decision.after?.meet(primitive, world.reactor)
            return result
        } catch let error as BackendError {
            throw error
        } catch is CancellationError {
            throw BackendError(.cancelled, "\(primitive.rawValue) was cancelled")
        } catch {
            throw BackendError(.internal, "\(primitive.rawValue) failed", cause: error)
        }
    }

    private func wait(_ delay: Duration, _ primitive: Primitive, _ deadline: Duration?) async throws {
        guard delay > .zero else { return }
        if let deadline, delay > deadline {
            try await world.reactor.sleep(Self.nanoseconds(deadline))
            throw BackendError(.timeout, "\(primitive.rawValue) did not end within \(deadline)")
        }
        try await world.reactor.sleep(Self.nanoseconds(delay))
    }

    /// The request's own rules come before those of the machine's definition.
    private func plan(
        for uuid: InstanceUUID?,
        _ metadata: [String: String]?,
        _ request: RequestContext?
    ) throws(BackendError) -> FaultPlan? {
        if let request, request.uuid == uuid, request.metadata.keys.contains(where: { $0.hasPrefix("sim.") }) {
            let plan = try FaultPlan(metadata: request.metadata)
            if !plan.isEmpty { return plan }
        }
        if let metadata { return try FaultPlan(metadata: metadata) }
        return uuid.flatMap { uuid in inventory.withLock { $0.plans[uuid] } }
    }

    static func nanoseconds(_ duration: Duration) -> UInt64 {
        let (seconds, attoseconds) = duration.components
        return UInt64(max(seconds, 0)) * 1_000_000_000 + UInt64(max(attoseconds, 0) / 1_000_000_000)
    }

    /// Throws `unimplemented` when the host was configured to lack the capability.
    func require(_ capability: Capability, _ what: String) throws(BackendError) {
        if !capabilities.has(capability) { throw BackendError.unsupported(what) }
    }
}
