import HostBackend
import HostConformance
import Support

extension PluginCheck {
    static let migrations = [
        PluginCheck(
            "the stream of a machine that leaves ends with 'migrated'",
            section: "9",
            needs: [.liveMigration, .consoleOutput]
        ) { bench in
            try await MigrationPair.run(try await PluginSubject(bench), "leaving") { pair in
                let (session, hello) = try await bench.connection()
                if hello.capabilities.has(.consoleExclusive) {
                    throw CheckSkipped("consoles are closed before a machine leaves")
                }
                let stream = try await open(session, pair.spec)
                try await printed(try await PluginSubject(bench), session, stream)
                try await pair.move(try await pair.prepare())
                try checkEqual(try await end(session, stream), "migrated", "the reason of the end")
            }
        },
        PluginCheck(
            "events tell at both hosts that a machine has moved, and of no other end or beginning",
            section: "8",
            needs: [.liveMigration, .events]
        ) { bench in
            try await MigrationPair.run(try await PluginSubject(bench), "told") { pair in
                guard let there = pair.destination as? PluginSubject else { return }
                let session = try await bench.connection().session
                let second = try await there.bench.connection().session
                _ = try await told("started", pair.spec, session)
                try await pair.move(try await pair.prepare())
                let events = (
                    try await told("migrated-out", pair.spec, session),
                    try await told("migrated-in", pair.spec, second)
                )
                try checkEqual(events.0, "started, migrated-out", "the events at the source")
                try checkEqual(events.1, "migrated-in", "the events at the destination")
            }
        },
    ]

    /// Waits for an event of the machine.
    ///
    /// - Returns: all of the machine until then.
    private static func told(_ type: String, _ spec: MachineSpec, _ session: WireSession) async throws -> String {
        try await session.until("the event \(type)", within: ConformanceCheck.limit) { state in
            let types = state.events.filter { $0["uuid"]?.stringValue == spec.uuid.text }
                .compactMap { $0["type"]?.stringValue }
            return types.contains(type) ? types.joined(separator: ", ") : nil
        }
    }
}
