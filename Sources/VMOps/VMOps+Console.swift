package import Console
package import HostBackend
import Logging

/// Console capture as the state of a machine wants it (VM operations, section 5.3). Nothing here fails an operation.
extension VMOps {
    /// Exactly one writer is attached afterwards, or trying to attach.
    func ensureConsole(_ instance: Instance, mark: ConsoleMarkKind?) async {
        guard backend.capabilities.has(.consoleOutput) else { return }
        let uuid = instance.uuid
        await console.ensure(uuid, directory: directory(uuid).path, mark: mark) { [backend] in
            try await backend.openConsole(uuid)
        }
    }

    /// Drains and closes the writer.
    func closeConsole(_ instance: Instance, mark: ConsoleMarkKind?) async {
        await console.close(instance.uuid, mark: mark)
    }

    /// Whatever happened: a machine that runs or is paused has its writer, any other has none.
    func fitConsole(_ instance: Instance) async {
        do {
            switch try await machine(instance.uuid)?.state {
            case .running, .paused, .transitional: await ensureConsole(instance, mark: nil)
            case .off, .saved, .error, nil: await closeConsole(instance, mark: nil)
            }
        } catch {
            // The host does not answer: a writer that is there goes on trying.
            logger.debug("console left as it is", metadata: ["instance": "\(instance.uuid)", "error": "\(error)"])
        }
    }
}

/// Reads of the console log, for instances of this host in any state.
extension VMOps {
    /// The answer to `get_console_output`.
    package func consoleOutput(_ uuid: InstanceUUID, tailLength: Int?) async throws -> String {
        try await reading(uuid) { try await $0.output(uuid, directory: $1, tailLength: tailLength) }
    }

    /// Bytes from an absolute offset; when there is nothing beyond it yet, they are awaited for up to `wait`.
    package func consoleRead(
        _ uuid: InstanceUUID,
        offset: Int64,
        maxBytes: Int,
        wait: Duration
    ) async throws -> ConsoleChunk {
        try await reading(uuid) { console, directory in
            let chunk = try await console.read(uuid, directory: directory, offset: offset, maxBytes: maxBytes)
            guard chunk.data.isEmpty, offset >= 0, wait > .zero else { return chunk }
            do {
                _ = try await console.waitForOutput(uuid, directory: directory, beyond: offset, limit: wait)
            } catch is CancellationError {}
            // Nobody waits longer, and there was nothing: true, and no failure.
            if Task.isCancelled { return chunk }
            return try await console.read(uuid, directory: directory, offset: offset, maxBytes: maxBytes)
        }
    }

    package func consoleMarks(_ uuid: InstanceUUID) async throws -> [ConsoleMark] {
        try await reading(uuid) { try await $0.marks(uuid, directory: $1) }
    }

    package func consoleStatus(_ uuid: InstanceUUID) async throws -> ConsoleStatus {
        try await reading(uuid) { try await $0.status(uuid, directory: $1) }
    }

    /// Types on the console of a machine that runs or is paused. At most once: it is not kept in the journal, and what
    /// a crash swallows is for whoever types to see. Capture does not notice failures of it.
    ///
    /// - Throws: ``OperationError``: `instanceInvalidState` for any other state, `consoleNotAvailable` for a host without
    ///   input, `instanceNotReady` when the machine does not take it now.
    package func consoleWrite(_ uuid: InstanceUUID, _ bytes: [UInt8]) async throws {
        _ = try existing(uuid)
        guard backend.capabilities.has(.consoleInput) else { throw noConsole(uuid) }
        do {
            let state = try await machine(uuid)?.state
            switch state {
            case .running, .paused, .transitional: try await backend.writeConsole(uuid, bytes)
            case .off, .saved, .error, nil:
                throw OperationError.invalidState(
                    uuid.text,
                    state: state?.clientName ?? "absent",
                    method: "console_write"
                )
            }
        } catch {
            throw OperationError(error, failure: .instanceNotReady, instance: uuid.text, host: host)
        }
    }

    private func reading<Result>(
        _ uuid: InstanceUUID,
        _ body: (ConsoleService, String) async throws -> Result
    ) async throws -> Result {
        _ = try existing(uuid)
        guard backend.capabilities.has(.consoleOutput) else { throw noConsole(uuid) }
        do {
            return try await body(console, directory(uuid).path)
        } catch let error as ConsoleError where error.code == .notAvailable {
            throw noConsole(uuid)
        } catch let error as ConsoleError {
            throw OperationError(
                .consoleLogOutputException,
                "The console log of instance \(uuid) could not be read: \(error)",
                details: ["instance_id": uuid.text, "reason": "\(error)"],
                cause: error
            )
        }
    }

    private func noConsole(_ uuid: InstanceUUID) -> OperationError {
        OperationError(.consoleNotAvailable, "Guest does not have a console available.", details: [:])
    }
}

/// The log of an instance that moves to another host (VM operations, section 7.10).
extension VMOps {
    /// Copies what was captured so far, while the machine goes on printing.
    func copyConsole(_ instance: Instance, transfer: String, to peer: any MigrationPeer) async {
        let uuid = instance.uuid
        do {
            try await console.copyAhead(
                uuid,
                directory: directory(uuid).path,
                transfer: transfer,
                to: peer.consoleDestination(uuid)
            )
        } catch {
            logger.info("console log not copied ahead", metadata: ["instance": "\(uuid)", "error": "\(error)"])
        }
    }

    /// Copies the rest and has it installed; without the destination's acknowledgement the log stays here.
    func moveConsole(_ instance: Instance, transfer: String, to peer: any MigrationPeer) async throws {
        let uuid = instance.uuid
        try await console.move(
            uuid,
            directory: directory(uuid).path,
            transfer: transfer,
            to: peer.consoleDestination(uuid)
        )
    }
}
