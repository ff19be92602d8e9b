import HostBackend
import JSONCodec
import Support

/// A record's form in the journal: its JSON, as `sqlite3` can show it.
extension InstanceRecord {
    func journalText() throws -> String {
        String(decoding: try JSONWriter.bytes(of: .object(json)), as: UTF8.self)
    }

    init(journalText text: String) throws {
        let value = try JSONReader.read([UInt8](text.utf8))
        guard case .object(let object) = value, let record = InstanceRecord(json: object) else {
            throw JournalError(.damaged, "a record of an instance in the journal cannot be read")
        }
        self = record
    }
}
