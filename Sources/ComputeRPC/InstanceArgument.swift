import HostBackend
import Support
import VMOps

/// The `instance` argument: a plain map, or an object in Nova's serialised envelope.
struct InstanceArgument: Sendable {
    private static let mostMetadataBytes = 256 << 10

    private let field: Field

    init(_ arguments: Arguments) throws {
        let field = Field("instance", arguments.values["instance"] ?? .null)
        let object = try field.object()
        if let data = object["nova_object.data"] {
            self.field = Field("instance", data)
            _ = try self.field.object()
        } else {
            self.field = field
        }
    }

    /// The uuid; absent in requests of people who know only the name.
    func uuid() throws -> InstanceUUID? {
        guard let member = field.member("uuid") else { return nil }
        let text = try member.string(limit: 64)
        guard let uuid = InstanceUUID(text) else { throw member.invalid("is not a UUID") }
        return uuid
    }

    func name() throws -> String? {
        guard let member = field.member("name") else { return nil }
        return try Self.checkName(member)
    }

    /// The instance on this host, by uuid or else by name.
    func resolve(_ operations: VMOps) throws -> InstanceUUID {
        if let uuid = try uuid() { return uuid }
        guard let name = try name() else { throw field.invalid("needs uuid or name") }
        guard let uuid = operations.find(name) else { throw OperationError.notFound(name) }
        return uuid
    }

    /// What spawn needs of the instance itself.
    func spawnRequest() throws -> SpawnRequest {
        guard let uuid = try uuid() else { throw field.invalid("needs uuid") }
        guard let name = try name() else { throw field.invalid("needs name") }
        guard let memory = field.member("memory_mb") else { throw field.invalid("needs memory_mb") }
        guard let vcpus = field.member("vcpus") else { throw field.invalid("needs vcpus") }
        var request = SpawnRequest(
            uuid: uuid,
            name: name,
            memoryMB: try memory.integer(in: 1...16_777_216),
            vcpus: try vcpus.integer(in: 1...4096),
            rootGB: try field.member("root_gb")?.integer(in: 0...1_048_576) ?? 0
        )
        let ephemeral = try field.member("ephemeral_gb")?.integer(in: 0...1_048_576) ?? 0
        request.ephemeralGB = ephemeral > 0 ? [ephemeral] : []
        if let image = field.member("image_ref") {
            let reference = try image.string(limit: 2048)
            request.imageRef = reference.isEmpty ? nil : reference
        }
        if let drive = field.member("config_drive") { request.configDrive = try drive.bool() }
        if let metadata = field.member("metadata") { request.metadata = try Self.stringMap(metadata) }
        return request
    }

    /// Names are data and never part of a path; they are shown, though, so control characters and what looks like a
    /// path are refused.
    static func checkName(_ field: Field) throws -> String {
        let name = try field.string(limit: 255)
        guard !name.isEmpty else { throw field.invalid("is empty") }
        guard name != ".", name != ".." else { throw field.invalid("is not a name") }
        let isClean = name.unicodeScalars.allSatisfy { scalar in
            scalar != "/" && scalar != "\\"
                && (0x20..<0x7F ~= scalar.value || scalar.properties.generalCategory != .control)
        }
        guard isClean else { throw field.invalid("has a separator or control character") }
        return name
    }

    private static func stringMap(_ field: Field) throws -> [String: String] {
        let object = try field.object()
        guard object.count <= 1024 else { throw field.invalid("has more than 1024 members") }
        var map: [String: String] = [:]
        var bytes = 0
        for member in object {
            guard member.key.utf8.count <= 255 else { throw field.invalid("has a key of more than 255 bytes") }
            switch member.value {
            case .string(let text): map[member.key] = text
            case .int(let number): map[member.key] = String(number)
            case .bigInteger(let digits): map[member.key] = digits
            case .double(let number): map[member.key] = String(number)
            case .bool(let flag): map[member.key] = flag ? "true" : "false"
            default: throw Field("\(field.name).\(member.key)", member.value).mismatch("a string")
            }
            bytes += member.key.utf8.count + (map[member.key]?.utf8.count ?? 0)
            // It is part of the instance's record, which is written with each change.
            guard bytes <= mostMetadataBytes else { throw field.invalid("has more than \(mostMetadataBytes) bytes") }
        }
        return map
    }
}
