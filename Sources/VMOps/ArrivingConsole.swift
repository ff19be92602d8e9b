import Console
import HostBackend
import Synchronization

/// A console log that comes with its machine. Takes what belongs to the transfer at hand, nothing of an earlier one.
struct ArrivingConsole: ConsoleDestination {
    let operations: VMOps
    let uuid: InstanceUUID
    let log: any ConsoleDestination
    /// For a machine that comes back after a cold migration: the log here is the beginning of what comes.
    let returning: any ConsoleDestination

    func prepareIncoming(transfer: String) async throws -> ConsoleIncoming {
        if isComingBack(transfer) { return try await returning.prepareIncoming(transfer: transfer) }
        if try expect(transfer) { return ConsoleIncoming(nextOffset: nil, isInstalled: true) }
        return try await log.prepareIncoming(transfer: transfer)
    }

    func receive(_ chunk: ConsoleTransferChunk, transfer: String) async throws -> Int64 {
        if isComingBack(transfer) { return try await returning.receive(chunk, transfer: transfer) }
        if try expect(transfer) { return chunk.nextOffset }
        return try await log.receive(chunk, transfer: transfer)
    }

    func install(_ seal: ConsoleTransferSeal, transfer: String) async throws {
        if isComingBack(transfer) { return try await returning.install(seal, transfer: transfer) }
        if try expect(transfer) { return }
        try await log.install(seal, transfer: transfer)
        guard let instance = operations.instance(uuid) else { return }
        await operations.remember(instance) { record in
            if record.move?.transfer == transfer, record.move?.role == .arrived { record.move = nil }
        }
    }

    private func isComingBack(_ transfer: String) -> Bool {
        guard let move = operations.leftovers.withLock({ $0[uuid] })?.record.move, move.isCold,
            [.left, .kept].contains(move.role)
        else { return false }
        return transfer == Departure.wayBack(of: move.transfer)
    }

    /// - Returns: whether the log of that transfer is in place already.
    private func expect(_ transfer: String) throws -> Bool {
        guard let record = operations.instance(uuid)?.record else { throw OperationError.notFound(uuid.text) }
        if record.move?.transfer == transfer { return false }
        guard record.move == nil, record.arrivedBy == transfer else { throw OperationError.notFound(uuid.text) }
        return true
    }
}
