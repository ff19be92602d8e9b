package import HostBackend
import Support

/// Moving a log to another host (VMOps semantics, section 7.10). Bytes are named by absolute offset and carry a
/// checksum, so any call may be repeated, and an interrupted move goes on where it was: `transfer` names the move and
/// stays the same for all attempts.
///
/// With a shared instance directory nothing is moved: ``close(_:mark:)`` at the source returns before the destination
/// opens.
extension ConsoleService {
    /// Bytes in a chunk, unless told otherwise.
    package static let chunkBytes = 256 * 1024

    // MARK: - Source

    /// The bytes from `offset` on, also while the machine prints.
    package func export(
        _ uuid: InstanceUUID,
        directory: String,
        from offset: Int64,
        maxBytes: Int = chunkBytes
    ) async throws -> ConsoleTransferChunk {
        let chunk = try await withEntry(uuid, directory) { entry in
            try await files(entry) { try $0.read(from: offset, maxBytes: maxBytes) }
        }
        return ConsoleTransferChunk(
            data: chunk.data,
            offset: chunk.offset,
            checksum: CRC32.of(chunk.data),
            firstOffset: chunk.firstOffset,
            endOffset: chunk.endOffset
        )
    }

    /// Ends the capture, with a mark, and says what there is to move. Repeatable, also after a restart.
    package func seal(_ uuid: InstanceUUID, directory: String, mark: ConsoleMarkKind?) async throws
        -> ConsoleTransferSeal
    {
        await close(uuid, mark: mark)
        return try await withEntry(uuid, directory) { entry in
            guard entry.current == nil else { throw ConsoleError(.busy, "console of \(uuid) is captured again") }
            return try await files(entry) { store in
                let range = try store.range()
                return ConsoleTransferSeal(
                    firstOffset: range.lowerBound,
                    endOffset: range.upperBound,
                    marks: try store.marks()
                )
            }
        }
    }

    /// The destination has the log: deletes the source's. Repeatable.
    package func acknowledgeMoved(_ uuid: InstanceUUID, directory: String) async throws {
        try await withEntry(uuid, directory) { entry in
            try await entry.lane.run {
                guard entry.current == nil else { throw ConsoleError(.busy, "console of \(uuid) is captured again") }
                try await files(entry) { try $0.removeAll() }
            }
        }
    }

    /// Copies what there is while the machine still prints, in chunks, until within one chunk of the end.
    package func copyAhead(
        _ uuid: InstanceUUID,
        directory: String,
        transfer: String,
        to destination: some ConsoleDestination
    ) async throws {
        let incoming = try await destination.prepareIncoming(transfer: transfer)
        if incoming.isInstalled { return }
        var next = incoming.nextOffset ?? 0
        while true {
            let chunk = try await export(uuid, directory: directory, from: next)
            if chunk.data.isEmpty { return }
            next = try await destination.receive(chunk, transfer: transfer)
            if chunk.endOffset - chunk.nextOffset < Int64(Self.chunkBytes) { return }
        }
    }

    /// Ends the capture, copies the remainder, has it installed and deletes the source's copy. After an error the source
    /// keeps everything; call it again with the same `transfer`.
    ///
    /// - Parameter keepsSource: the source's copy stays, for a machine that may come back.
    package func move(
        _ uuid: InstanceUUID,
        directory: String,
        transfer: String,
        mark: ConsoleMarkKind? = .migration,
        keepsSource: Bool = false,
        to destination: some ConsoleDestination
    ) async throws {
        let seal = try await seal(uuid, directory: directory, mark: mark)
        let incoming = try await destination.prepareIncoming(transfer: transfer)
        if !incoming.isInstalled {
            var next = max(incoming.nextOffset ?? seal.firstOffset, seal.firstOffset)
            while next < seal.endOffset {
                let chunk = try await export(uuid, directory: directory, from: next)
                next = try await destination.receive(chunk, transfer: transfer)
            }
            try await destination.install(seal, transfer: transfer)
        }
        if !keepsSource { try await acknowledgeMoved(uuid, directory: directory) }
    }

    // MARK: - Destination

    /// This host as a destination for one machine's log. The instance's directory is made if missing.
    ///
    /// - Parameter replacesPresent: what is here is the beginning of what comes, and is not put behind it.
    package func destination(
        _ uuid: InstanceUUID,
        directory: String,
        replacesPresent: Bool = false
    ) -> some ConsoleDestination {
        LocalDestination(service: self, uuid: uuid, directory: directory, replacesPresent: replacesPresent)
    }

    /// Gives up what arrived of a log that will not come.
    package func discardIncoming(_ uuid: InstanceUUID, directory: String) async throws {
        try await withEntry(uuid, directory) { entry in try await files(entry) { try $0.discardIncoming() } }
    }
}

/// A host of this process as a destination.
private struct LocalDestination: ConsoleDestination {
    let service: ConsoleService
    let uuid: InstanceUUID
    let directory: String
    let replacesPresent: Bool

    func prepareIncoming(transfer: String) async throws -> ConsoleIncoming {
        try await work { store in
            let (next, isInstalled) = try store.prepareIncoming(transfer)
            return ConsoleIncoming(nextOffset: next, isInstalled: isInstalled)
        }
    }

    func receive(_ chunk: ConsoleTransferChunk, transfer: String) async throws -> Int64 {
        try await work { try $0.receive(chunk, of: transfer) }
    }

    func install(_ seal: ConsoleTransferSeal, transfer: String) async throws {
        let replaces = replacesPresent
        try await work { try $0.install(transfer, seal, replacesPresent: replaces) }
    }

    private func work<Result: Sendable>(
        _ body: @escaping @Sendable (inout SegmentStore) throws -> Result
    ) async throws -> Result {
        try await service.withEntry(uuid, directory) { entry in try await service.files(entry, body) }
    }
}
