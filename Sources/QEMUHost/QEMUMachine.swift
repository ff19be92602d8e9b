import DiskImages
import HostBackend
import Logging
import Processes
import QMP
import Support
import Synchronization

/// One machine of a QEMU host: its definition, its process while it is on, and its end of the console.
///
/// What is known of it is behind one mutex that is held for moments, never over an await. Operations that change its
/// state come one at a time, through ``lane``; events of the guest come from ``Watcher`` at any time. Lock order: file,
/// then machine, then event hub.
final class QEMUMachine: Sendable {
    /// What a QEMU's end means when it comes.
    enum Ending: Sendable, Hashable {
        /// It was told to.
        case off(MachineEvent.StopReason)
        /// Its memory is on disk.
        case saved
        /// It never came to run; the machine is what it was before.
        case undone
    }

    struct State {
        var record: MachineRecord
        var session: QMPSession?
        var pipes: ConsolePipes?
        var watcher: (process: ProcessIdentity, task: Task<Void, Never>)?
        /// Lets a QEMU go whose guest has powered off.
        var releaser: Task<Void, Never>?
        var ending: Ending?
        /// The guest has powered off, and QEMU still waits with the console's last words.
        var isLingering = false
        /// The guest was asked to shut down since it was started.
        var wasAskedToShutDown = false
        var resets = ResetFilter()
        /// A process is being started, with a socket of its own.
        var isStarting = false
        /// A state change is under way which QEMU reports too: those reports are ours.
        var isChanging = false
        /// The host gave up service, or the machine is gone.
        var isFrozen = false
    }

    let uuid: InstanceUUID
    let incarnation: UInt64
    let files: MachineFiles
    let services: MachineServices
    let lane = SerialLane()
    let state: Mutex<State>
    /// Held while the record or the socket is written or removed, on a file thread only; `true` once it is removed for good.
    private let recordRemoved = Mutex(false)

    init(_ record: MachineRecord, _ services: MachineServices) {
        uuid = record.spec.uuid
        incarnation = record.incarnation
        files = services.files(record.spec.uuid)
        self.services = services
        state = Mutex(State(record: record))
    }

    var settings: QEMUSettings { services.settings }

    var logger: Logger {
        var logger = services.logger
        logger[metadataKey: "instance"] = "\(uuid)"
        return logger
    }

    var record: MachineRecord { state.withLock { $0.record } }
    var presence: MachineRecord.Presence { state.withLock { $0.record.presence } }
    var machineState: MachineState { state.withLock { $0.record.state } }
    var process: ProcessIdentity? { state.withLock { $0.record.process?.identity } }

    func refusal(_ what: String) -> BackendError {
        BackendError(.invalidState, "cannot \(what) machine \(uuid), which is \(machineState.rawValue)")
    }

    // MARK: Record

    /// Writes the record as it is when its turn comes, and waits for it.
    func save() async throws {
        try await services.work.run { _ in try self.writeRecord() }
    }

    /// The same where nothing can be done about a failure: the next worker finds out by looking.
    func saveIfPossible() async {
        await unlessCancelled {
            do {
                try await self.save()
            } catch {
                self.logger.error("machine's record not written", metadata: ["error": "\(error)"])
            }
        }
    }

    private func writeRecord() throws(BackendError) {
        try recordRemoved.withLock { removed throws(BackendError) in
            if removed || state.withLock({ $0.isFrozen }) { return }
            try files.writeRecord(record.json, sync: settings.syncState)
        }
    }

    /// Makes the directory and the record of a new machine; on failure nothing is left.
    func createFiles() async throws {
        try await services.work.run { [self] _ in
            do {
                try FileCalls.removeTree(files.directory)
                try FileCalls.makeNewDirectory(files.directory, mode: 0o711)
                try writeRecord()
            } catch {
                try? files.removeAll(sync: false)
                throw error
            }
        }
    }

    /// Removes the socket of a QEMU that has ended, unless another is there or on its way.
    func removeSocket() async {
        await unlessCancelled { [self] in
            _ = try? await services.work.run { [self] _ in
                try recordRemoved.withLock { _ throws(BackendError) in
                    let isFree = state.withLock { $0.record.process == nil && !$0.isStarting }
                    if isFree { try FileCalls.remove(files.monitor) }
                }
            }
        }
    }

    /// Waits for a removal that did not know yet of the start that is being made. Blocks for a moment.
    func awaitSocketRemoval() { recordRemoved.withLock { _ in } }

    /// Removes files that nobody needs any more; what cannot be removed now is in nobody's way.
    func removeQuietly(_ paths: String...) async {
        await unlessCancelled { [work = services.work] in
            _ = try? await work.run { _ in for path in paths { try? FileCalls.remove(path) } }
        }
    }

    /// Removes everything; the record is never written again.
    func removeFiles() async throws {
        try await services.work.run { [self] _ in
            try recordRemoved.withLock { removed throws(BackendError) in
                removed = true
                try files.removeAll(sync: settings.syncState)
            }
        }
    }

    // MARK: Monitor

    /// The session with the machine's QEMU, made anew if it was lost.
    ///
    /// - Throws: `unavailable` when QEMU does not answer or is gone.
    func session() async throws(BackendError) -> QMPSession {
        let (session, process) = state.withLock { ($0.session, $0.record.process?.identity) }
        if let session, session.isOpen { return session }
        guard let process, services.processes.isAlive(process) else {
            throw BackendError(.unavailable, "the QEMU of machine \(uuid) has ended")
        }
        throw BackendError(.unavailable, "the QEMU of machine \(uuid) does not answer on its monitor")
    }

    /// One command; an answer that does not come in time leaves it unknown whether it was carried out.
    @discardableResult
    func execute(
        _ command: String,
        _ arguments: JSONObject = [:],
        descriptor: Int32? = nil,
        isUrgent: Bool = false,
        deadline: Duration? = nil
    ) async throws(BackendError) -> JSONValue {
        let session = try await session()
        do {
            return try await session.execute(
                command,
                arguments,
                descriptor: descriptor,
                isUrgent: isUrgent,
                deadline: deadline ?? settings.commandTimeout
            )
        } catch {
            throw BackendError(error, "\(command) of machine \(uuid)")
        }
    }

    /// QEMU's own word for what the machine does (QEMU backend, section 4.2).
    func status(deadline: Duration? = nil) async throws(BackendError) -> String {
        try await execute("query-status", deadline: deadline)["status"]?.stringValue ?? ""
    }
}

extension BackendError {
    init(_ error: QMPError, _ what: String) {
        let code: Code =
            switch error.code {
            case .timeout: .timeout
            case .cancelled: .cancelled
            case .refused where error.message.contains("Permission denied"): .unauthorized
            case .refused where error.message.contains("No space left"): .resourceExhausted
            case .refused: .internal
            case .unreachable, .closed, .protocolViolation: .unavailable
            }
        self.init(code, "\(what): \(error.message)", cause: error)
    }
}
