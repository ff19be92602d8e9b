import DaemonBench
import Support
import TestSupport
import Testing

/// Many requests at once, whose effects do not depend on their order: interfaces of different names that come and go,
/// and reboots that are counted.
extension Traffic {
    /// Names the interface of a wave.
    private static func interface(_ wave: Int, _ number: Int) -> String { "flood-\(wave)-\(number)" }

    func flood() async throws {
        let instances = (0..<settings.floodTargets).map {
            TestInstance("flood-\($0)", on: settings.hosts[$0 % settings.hosts.count])
        }
        for instance in instances { try await require(.spawn, instance) }
        var reboots = 0
        var wave = 0
        while !isOver {
            wave += 1
            let ids = (0..<settings.floodWave).map { Self.interface(wave, $0) }
            let done = try await send(ids.map { .attachInterface($0) }, to: instances, reboots: 3)
            reboots += 3
            guard done else { continue }
            try await untilSeen(on: instances, interfaces: Set(ids))
            guard try await send(ids.map { .detachInterface($0) }, to: instances, reboots: 0) else { continue }
            try await untilSeen(on: instances, interfaces: [])
            if settings.pause > .zero { try await Task.sleep(for: settings.pause * 5) }
        }
        guard !settings.losesRequests else { return }
        let uncertain = counts.uncertainReboots
        for instance in instances {
            if let evidence = try Evidence(bench.daemon.statePath).machine(instance.uuid, on: instance.host) {
                let most = reboots + 1
                #expect(
                    (most - uncertain...most).contains(evidence.boots),
                    "\(instance.name) booted \(evidence.boots) times for \(reboots) reboots, \(uncertain) cut off"
                )
            }
            try await require(.destroy, instance)
        }
    }

    private func require(_ operation: MachineOperation, _ instance: TestInstance) async throws {
        let ending = try await perform(operation, instance, on: instance.host)
        guard ending == .succeeded || settings.losesRequests else {
            throw Unexpected("\(operation) of \(instance.name) came to \(ending)")
        }
    }

    /// Half of them as casts, half as calls, all at once.
    ///
    /// - Returns: whether all calls succeeded.
    private func send(
        _ operations: [MachineOperation],
        to instances: [TestInstance],
        reboots: Int
    ) async throws -> Bool {
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for (number, operation) in operations.enumerated() {
                for instance in instances {
                    group.addTask {
                        if number % 2 == 0 { return try await self.cast(operation, instance) }
                        return try await self.perform(operation, instance, on: instance.host) == .succeeded
                    }
                }
            }
            for instance in instances {
                for _ in 0..<reboots { group.addTask { try await self.cast(.hardReboot, instance) } }
            }
            return try await group.reduce(true) { $0 && $1 }
        }
    }

    private func cast(_ operation: MachineOperation, _ instance: TestInstance) async throws -> Bool {
        let arguments = operation.arguments(instance, volumes: volumes)
        try await untilTaken(call: false) { id in
            try await bench.cast(operation.method, arguments, on: instance.host, requestID: id)
        }
        return true
    }

    /// The casts have no answer: their effect is waited for, where no worker's word is needed.
    private func untilSeen(on instances: [TestInstance], interfaces: Set<String>) async throws {
        guard !settings.losesRequests, settings.backend == .simulated else { return }
        for instance in instances {
            try await eventually(timeout: .seconds(180), "interfaces of \(instance.name)") {
                let evidence = try Evidence(self.bench.daemon.statePath).machine(instance.uuid, on: instance.host)
                guard let found = evidence?.interfaces else { return false }
                return found.count == interfaces.count && Set(found) == interfaces
            }
        }
    }
}

extension MachineModel.Ending: Equatable {}
