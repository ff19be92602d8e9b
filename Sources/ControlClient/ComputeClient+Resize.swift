import Support

/// What a resize changes; members that are `nil` stay.
package struct FlavorChange: Sendable, Hashable {
    package var memoryMB: Int?
    package var vcpus: Int?
    package var rootGB: Int?
    package var ephemeralGB: Int?

    package init(memoryMB: Int? = nil, vcpus: Int? = nil, rootGB: Int? = nil, ephemeralGB: Int? = nil) {
        self.memoryMB = memoryMB
        self.vcpus = vcpus
        self.rootGB = rootGB
        self.ephemeralGB = ephemeralGB
    }

    var argument: JSONObject {
        var flavor: JSONObject = [:]
        flavor["memory_mb"] = memoryMB.map { .int(Int64($0)) }
        flavor["vcpus"] = vcpus.map { .int(Int64($0)) }
        flavor["root_gb"] = rootGB.map { .int(Int64($0)) }
        flavor["ephemeral_gb"] = ephemeralGB.map { .int(Int64($0)) }
        return flavor
    }
}

extension ComputeClient {
    /// Turns an instance off, gives it another flavor, another host or both, and has it run again if it ran.
    ///
    /// - Parameters:
    ///   - destination: `nil` = the host where it is.
    ///   - shutdown: the guest's time to shut down by itself, in seconds.
    ///   - progress: called with what the source tells meanwhile, a few times a second.
    package func resize(
        _ reference: InstanceReference,
        to destination: String?,
        _ change: FlavorChange,
        shutdown: Int,
        progress: @escaping @Sendable (Instance, MigrationState) -> Void
    ) async throws -> Instance {
        let source = try await find(reference)
        var args: JSONObject = ["timeout": .int(Int64(shutdown))]
        args["dest"] = destination.map(JSONValue.string)
        if !change.argument.isEmpty { args["flavor"] = .object(change.argument) }
        let limit = max(times.operation, times.operation(budget: .seconds(shutdown)))
        return try await watching(source, "resize_instance", args, limit: limit, progress)
    }

    package func confirmResize(_ reference: InstanceReference) async throws -> Instance {
        try await settle(reference, "confirm_resize")
    }

    /// - Returns: the instance where it was before.
    package func revertResize(_ reference: InstanceReference) async throws -> Instance {
        try await settle(reference, "revert_resize")
    }

    private func settle(_ reference: InstanceReference, _ method: String) async throws -> Instance {
        let place = try await place(of: reference)
        return try Instance(try await operate(place.host, method, ["instance": place.argument], times.operation))
    }
}
