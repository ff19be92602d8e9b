package import HostBackend
import JSONCodec
import Support

/// What an instance's directory says of itself: whose it is, and all that is needed to run it. On storage that hosts
/// share, this is what is left of a host that is gone.
package struct StoredInstance: Sendable, Hashable {
    /// The host that runs it.
    package var owner: String
    /// As that host last wrote it; moves under way are none of it.
    package var record: InstanceRecord

    package init(owner: String, record: InstanceRecord) {
        self.owner = owner
        self.record = record
        self.record.move = nil
    }

    /// As a file's content.
    package func text() throws -> String {
        String(
            decoding: try JSONWriter.bytes(of: ["owner": .string(owner), "record": .object(record.json)]),
            as: UTF8.self
        )
    }

    /// What stands in the file while the instance is being made: whose the directory is, and nothing to run.
    package static func claim(of owner: String) throws -> String {
        String(decoding: try JSONWriter.bytes(of: ["owner": .string(owner)]), as: UTF8.self)
    }

    /// Whose the directory is, also while its instance is being made; `nil` when the file does not say.
    package static func owner(in text: String) -> String? {
        guard case .object(let object)? = try? JSONReader.read(Array(text.utf8)) else { return nil }
        return object["owner"]?.stringValue
    }

    /// `nil` when the file says nothing, as those of earlier releases do, or only whose it is.
    package init?(text: String) {
        guard case .object(let object)? = try? JSONReader.read(Array(text.utf8)),
            let owner = object["owner"]?.stringValue, let json = object["record"]?.objectValue,
            let record = InstanceRecord(json: json)
        else { return nil }
        self.init(owner: owner, record: record)
    }
}
