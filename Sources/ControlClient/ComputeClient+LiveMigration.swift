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
        return try await watching(source, "live_migration", ["dest": .string(destination)], progress)
    }

    /// Calls a method that moves an instance, and tells of its progress.
    func watching(
        _ source: Instance,
        _ method: String,
        _ more: JSONObject,
        limit: Duration? = nil,
        _ progress: @escaping @Sendable (Instance, MigrationState) -> Void
    ) async throws -> Instance {
        var args = more
        args["instance"] = source.argument
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await watch(source, progress) }
            defer { group.cancelAll() }
            return try Instance(try await operate(source.host, method, args, limit ?? times.operation))
        }
    }

    /// Makes the named host forget a migration whose other host is gone for good.
    ///
    /// - Parameter runHere: the instance runs nowhere and is to go on at this host.
    /// - Returns: the instance, if the host has it afterwards.
    package func giveUpMigration(_ reference: InstanceReference, runHere: Bool) async throws -> Instance? {
        guard let host else {
            throw ControlError(.usage, "which host is to give up the migration? Name it with --host")
        }
        let args: JSONObject = ["instance": reference.argument, "run_here": .bool(runHere)]
        let answer = try await operate(host, "give_up_live_migration", args, times.operation)
        return answer.isNull ? nil : try Instance(answer)
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
