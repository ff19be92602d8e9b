import Support

/// An instance as its directory on shared storage tells of it.
package struct StoredInstance: Sendable, Hashable {
    package let uuid: String
    package let name: String
    /// The host that ran it last.
    package let host: String
}

/// What happens while a host is evacuated.
package enum EvacuationEvent: Sendable {
    case started(Instance, done: Int, total: Int)
    case failed(StoredInstance, reason: String)
}

extension ComputeClient {
    /// Has other hosts run what `source` ran, which must be off: a few instances at once, spread over the hosts.
    ///
    /// - Parameters:
    ///   - names: only these, by name or uuid; empty = all.
    ///   - destinations: hosts that see its storage.
    /// - Returns: how many run elsewhere now, and how many do not.
    package func evacuate(
        _ source: String,
        only names: [String],
        to destinations: [String],
        parallel: Int,
        events: @escaping @Sendable (EvacuationEvent) -> Void
    ) async throws -> (done: Int, failed: Int) {
        guard let first = destinations.first else { throw ControlError(.usage, "no host to evacuate to") }
        var stored = try await storedInstances(on: first, of: source)
        if !names.isEmpty {
            for name in names where !stored.contains(where: { $0.name == name || $0.uuid == name.lowercased() }) {
                throw ControlError(.notFound, "\(name) is not among what \(source) ran, as \(first) sees it")
            }
            stored = stored.filter { names.contains($0.name) || names.map { $0.lowercased() }.contains($0.uuid) }
        }
        let total = stored.count
        var (done, failed) = (0, 0)
        try await withThrowingTaskGroup(of: (StoredInstance, Result<Instance, any Error>).self) { group in
            func next() async throws {
                guard let (instance, outcome) = try await group.next() else { return }
                switch outcome {
                case .success(let info):
                    done += 1
                    events(.started(info, done: done, total: total))
                case .failure(let error):
                    failed += 1
                    events(.failed(instance, reason: "\(error)"))
                }
            }
            for (number, instance) in stored.enumerated() {
                if number >= parallel { try await next() }
                let host = destinations[number % destinations.count]
                group.addTask {
                    do {
                        let args: JSONObject = ["instance": ["uuid": .string(instance.uuid)]]
                        let answer = try await self.operate(host, "evacuate_instance", args, self.times.operation)
                        return (instance, .success(try Instance(answer)))
                    } catch {
                        return (instance, .failure(error))
                    }
                }
            }
            for _ in 0..<min(parallel, total) { try await next() }
        }
        return (done, failed)
    }

    private func storedInstances(on host: String, of owner: String) async throws -> [StoredInstance] {
        let args: JSONObject = ["owner": .string(owner)]
        let answer = try await operate(host, "list_stored_instances", args, times.operation)
        return (answer.arrayValue ?? []).compactMap { entry in
            guard let uuid = entry["uuid"]?.stringValue, let name = entry["name"]?.stringValue else { return nil }
            return StoredInstance(uuid: uuid, name: name, host: owner)
        }
    }
}
