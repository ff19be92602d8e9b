package import Console
package import HostBackend
import OsloMessaging
package import Support
package import VMOps

/// Calls a method of another host and waits for its answer.
package protocol HostCaller: Sendable {
    /// - Parameter timeout: for the whole call; a host that gives no sign of life is given up sooner.
    /// - Throws: `RemoteFailure` when the method failed, `CancellationError`; anything else means that there is no
    ///   answer, and that the method may have run or still run.
    func call(_ method: String, _ args: JSONObject, on host: String, timeout: Duration) async throws -> JSONValue
}

/// A host of another process as a partner in migrations.
package struct RemotePeer: MigrationPeer {
    private static let quick = Duration.seconds(60)
    /// Preparing may include volumes, interfaces and whatever else is slow.
    private static let patient = Duration.seconds(600)

    private let host: String
    private let caller: any HostCaller

    package init(host: String, caller: any HostCaller) {
        self.host = host
        self.caller = caller
    }

    package func checkIncoming(_ migration: IncomingMigration) async throws -> MigrationTicket {
        let args = Self.args(migration.record.uuid, ["migrate_data": MigrationMessages.data(migration)])
        return try ticket(try await call("check_can_live_migrate_destination", args))
    }

    package func prepareIncoming(
        _ migration: IncomingMigration,
        _ ticket: MigrationTicket
    ) async throws -> MigrationTicket {
        let data = MigrationMessages.data(migration, ticket: ticket)
        let args = Self.args(migration.record.uuid, ["migrate_data": data])
        return try self.ticket(try await call("pre_live_migration", args, timeout: Self.patient))
    }

    package func finishIncoming(_ uuid: InstanceUUID, transfer: String) async throws -> InstanceInfo {
        let args = Self.args(uuid, ["migrate_data": ["transfer": .string(transfer)]])
        return try info(try await call("post_live_migration_at_destination", args), uuid)
    }

    package func abandonIncoming(_ uuid: InstanceUUID, transfer: String) async throws {
        let args = Self.args(uuid, ["migrate_data": ["transfer": .string(transfer)]])
        _ = try await call("rollback_live_migration_at_destination", args)
    }

    package func knowsOutgoing(_ uuid: InstanceUUID, transfer: String) async throws -> Bool {
        let args = Self.args(uuid, ["migrate_data": ["transfer": .string(transfer)]])
        guard let known = try await call("knows_live_migration", args).boolValue else { throw strangeAnswer }
        return known
    }

    package func presentInfo(_ uuid: InstanceUUID) async throws -> InstanceInfo? {
        do {
            return try info(try await call("get_info", Self.args(uuid, [:])), uuid)
        } catch let error as OperationError where error.code == .instanceNotFound {
            return nil
        }
    }

    /// A failure is an answer too.
    package func isAnswering() async -> Bool {
        do {
            _ = try await caller.call("ping", [:], on: host, timeout: Self.quick)
            return true
        } catch {
            return error is RemoteFailure
        }
    }

    package func checkResize(_ migration: IncomingMigration) async throws -> MigrationTicket {
        let args = Self.args(migration.record.uuid, ["migrate_data": MigrationMessages.data(migration)])
        return try ticket(try await call("check_can_resize_destination", args))
    }

    package func prepareResize(_ migration: IncomingMigration, _ ticket: MigrationTicket) async throws -> JSONObject {
        let data = MigrationMessages.data(migration, ticket: ticket)
        let args = Self.args(migration.record.uuid, ["migrate_data": data])
        guard let way = try await call("prep_resize", args).objectValue else { throw strangeAnswer }
        return way
    }

    package func buildResize(_ uuid: InstanceUUID, transfer: String) async throws {
        let args = Self.args(uuid, ["migrate_data": ["transfer": .string(transfer)]])
        _ = try await call("build_resize", args, timeout: Self.patient)
    }

    package func confirmOutgoing(_ uuid: InstanceUUID, transfer: String) async throws {
        let args = Self.args(uuid, ["migrate_data": ["transfer": .string(transfer)]])
        _ = try await call("finish_confirm_resize", args)
    }

    package func revertOutgoing(_ uuid: InstanceUUID, transfer: String) async throws -> InstanceInfo {
        let args = Self.args(uuid, ["migrate_data": ["transfer": .string(transfer)]])
        return try info(try await call("finish_revert_resize", args, timeout: Self.patient), uuid)
    }

    package func consoleDestination(_ uuid: InstanceUUID) -> any ConsoleDestination {
        RemoteConsole(peer: self, uuid: uuid)
    }

    // MARK: - Calling

    fileprivate static func args(_ uuid: InstanceUUID, _ more: JSONObject) -> JSONObject {
        var args: JSONObject = ["instance": ["uuid": .string(uuid.text)]]
        for member in more { args[member.key] = member.value }
        return args
    }

    fileprivate func call(
        _ method: String,
        _ args: JSONObject,
        timeout: Duration = quick
    ) async throws -> JSONValue {
        do {
            return try await caller.call(method, args, on: host, timeout: timeout)
        } catch let failure as RemoteFailure {
            throw error(failure, method)
        } catch let error as CancellationError {
            throw error
        } catch {
            throw OperationError(
                .hypervisorUnavailable,
                "Host \(host) does not answer: \(error)",
                details: ["host": host],
                cause: error
            )
        }
    }

    private func error(_ failure: RemoteFailure, _ method: String) -> OperationError {
        if let code = OperationError.Code(className: failure.className) {
            var details: [String: String] = [:]
            for member in failure.kwargs { details[member.key] = member.value.stringValue }
            return OperationError(code, failure.message, details: details, cause: failure)
        }
        if ["NoSuchMethod", "UnsupportedVersion"].contains(failure.className) {
            return OperationError(.notImplemented, "host \(host) does not offer \(method)")
        }
        return OperationError(.migrationError, "Migration error: \(failure)", details: ["reason": "\(failure)"])
    }

    fileprivate var strangeAnswer: OperationError {
        OperationError(
            .migrationError,
            "Migration error: host \(host) gave an answer that makes no sense",
            details: ["reason": "an answer of \(host) makes no sense"]
        )
    }

    private func ticket(_ answer: JSONValue) throws -> MigrationTicket {
        guard let ticket = answer.objectValue else { throw strangeAnswer }
        return ticket
    }

    private func info(_ answer: JSONValue, _ uuid: InstanceUUID) throws -> InstanceInfo {
        guard let info = Results.info(answer), info.uuid == uuid else { throw strangeAnswer }
        return info
    }
}

/// The console log's way to a host of another process.
private struct RemoteConsole: ConsoleDestination {
    let peer: RemotePeer
    let uuid: InstanceUUID

    func prepareIncoming(transfer: String) async throws -> ConsoleIncoming {
        let answer = try await call("console_transfer_prepare", transfer, [:])
        guard let installed = answer["installed"]?.boolValue else { throw peer.strangeAnswer }
        return ConsoleIncoming(nextOffset: answer["next_offset"]?.intValue, isInstalled: installed)
    }

    func receive(_ chunk: ConsoleTransferChunk, transfer: String) async throws -> Int64 {
        let answer = try await call("console_transfer_receive", transfer, MigrationMessages.chunk(chunk))
        guard let next = answer.intValue else { throw peer.strangeAnswer }
        return next
    }

    func install(_ seal: ConsoleTransferSeal, transfer: String) async throws {
        _ = try await call("console_transfer_install", transfer, MigrationMessages.seal(seal))
    }

    private func call(_ method: String, _ transfer: String, _ more: JSONObject) async throws -> JSONValue {
        var args = RemotePeer.args(uuid, more)
        args["transfer"] = .string(transfer)
        return try await peer.call(method, args)
    }
}
