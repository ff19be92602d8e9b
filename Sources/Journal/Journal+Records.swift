package import HostBackend
import JSONCodec

extension Journal {
    /// Stores an instance's record, replacing an earlier one; returns when it is durable.
    package func save(_ record: InstanceRecord) async throws {
        _ = try await perform(.save(uuid: record.uuid.text, text: try record.journalText()))
    }

    /// Forgets an instance; no error when there is no record.
    package func remove(_ uuid: InstanceUUID) async throws {
        _ = try await perform(.remove(uuid: uuid.text))
    }

    /// All records, in the order of their uuids.
    package func records() async throws -> [InstanceRecord] {
        guard case .records(let texts) = try await perform(.records) else { return [] }
        return try texts.map { try InstanceRecord(journalText: $0) }
    }
}
