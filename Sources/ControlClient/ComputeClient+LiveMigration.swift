import Support

extension ComputeClient {
    private static let pollInterval = Duration.milliseconds(250)

    /// Moves an instance and waits until it runs at the destination.
    ///
    /// - Parameter progress: called with what the source tells meanwhile, a few times a second.
    package func liveMigrate(
        _ reference: InstanceReference,
        to destination: String,
        progress: @escaping @Sendable (Instance, MigrationState) -> Void
    ) async throws -> Instance {
        let source = try await find(reference)
        let args: JSONObject = ["instance": source.argument, "dest": .string(destination)]
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await watch(source, progress) }
            defer { group.cancelAll() }
            return try Instance(try await operate(source.host, "live_migration", args, times.operation))
        }
    }

    /// Asks until it is cancelled. Trouble with asking is none of the migration.
    private func watch(_ source: Instance, _ progress: @Sendable (Instance, MigrationState) -> Void) async {
        while true {
            do { try await Task.sleep(for: Self.pollInterval) } catch { return }
            let answer = try? await sender.call(
                target(source.host),
                "get_info",
                ["instance": source.argument],
                timeout: times.read,
                monitorTimeout: nil
            )
            guard !Task.isCancelled else { return }
            guard let answer, let state = (try? Instance(answer))?.migration else { continue }
            progress(source, state)
        }
    }
}
