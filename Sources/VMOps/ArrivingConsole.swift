import Console
import HostBackend

/// A console log that comes with its machine. Takes what belongs to the transfer at hand, nothing of an earlier one.
struct ArrivingConsole: ConsoleDestination {
    let operations: VMOps
    let uuid: InstanceUUID
    let log: any ConsoleDestination

    func prepareIncoming(transfer: String) async throws -> ConsoleIncoming {
        if try expect(transfer) { return ConsoleIncoming(nextOffset: nil, isInstalled: true) }
        return try await log.prepareIncoming(transfer: transfer)
    }

    func receive(_ chunk: ConsoleTransferChunk, transfer: String) async throws -> Int64 {
        if try expect(transfer) { return chunk.nextOffset }
        return try await log.receive(chunk, transfer: transfer)
    }

    func install(_ seal: ConsoleTransferSeal, transfer: String) async throws {
        if try expect(transfer) { return }
        try await log.install(seal, transfer: transfer)
        guard let instance = operations.instance(uuid) else { return }
        await operations.remember(instance) { record in
            if record.move?.transfer == transfer, record.move?.role == .arrived { record.move = nil }
        }
    }

    /// - Returns: whether the log of that transfer is in place already.
    private func expect(_ transfer: String) throws -> Bool {
        guard let record = operations.instance(uuid)?.record else { throw OperationError.notFound(uuid.text) }
        if record.move?.transfer == transfer { return false }
        guard record.move == nil, record.arrivedBy == transfer else { throw OperationError.notFound(uuid.text) }
        return true
    }
}
