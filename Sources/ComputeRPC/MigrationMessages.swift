import Console
import HostBackend
import Support
import VMOps

/// What two hosts tell each other in a live migration, as JSON. A later release may add members.
enum MigrationMessages {
    private static let version: Int64 = 1

    // MARK: The machine that comes

    /// The value of `migrate_data` in `check_can_live_migrate_destination` and `pre_live_migration`.
    static func data(_ migration: IncomingMigration, ticket: MigrationTicket? = nil) -> JSONValue {
        let spec = migration.spec
        var data: JSONObject = [
            "version": .int(version),
            "transfer": .string(migration.transfer),
            "source": .string(migration.source),
            "copy_storage": .bool(migration.copyStorage),
            "record": .object(migration.record.json),
            "directory": .string(spec.directory),
            "startup_memory_mb": .int(Int64(spec.startupMemoryMB)),
            "limit_cpu_features": .bool(spec.limitCPUFeatures),
            "enable_metrics": .bool(spec.enableMetrics),
        ]
        if let ticket { data["ticket"] = .object(ticket) }
        data["resize"] = migration.resize.map { .object($0.json) }
        return .object(data)
    }

    static func migration(_ field: Field, for uuid: InstanceUUID?) throws -> IncomingMigration {
        guard try field.integer("version", in: 0...Int(Int32.max)) == Int(version) else {
            throw field.invalid("is of another version")
        }
        guard let object = try field.member("record")?.object(), let record = InstanceRecord(json: object) else {
            throw field.invalid("has no record of an instance")
        }
        guard record.uuid == uuid else { throw field.invalid("is about another instance") }
        let directory = try field.text("directory")
        guard directory.hasPrefix("/"), !directory.contains("/../") else {
            throw field.invalid("names no absolute directory")
        }
        let spec = MachineSpec(
            uuid: record.uuid,
            name: try InstanceArgument.checkName(Field("\(field.name).record.name", .string(record.name))),
            directory: directory,
            memoryMB: record.memoryMB,
            startupMemoryMB: try field.integer("startup_memory_mb", in: 1...16_777_216),
            vcpus: record.vcpus,
            limitCPUFeatures: try field.member("limit_cpu_features")?.bool() ?? false,
            enableMetrics: try field.member("enable_metrics")?.bool() ?? false,
            disks: record.disks,
            interfaces: record.interfaces,
            metadata: record.metadata
        )
        return IncomingMigration(
            record: record,
            spec: spec,
            source: try field.text("source"),
            copyStorage: try field.member("copy_storage")?.bool() ?? false,
            transfer: try transfer(field),
            resize: try resize(field)
        )
    }

    private static func resize(_ field: Field) throws -> InstanceResize? {
        guard let member = field.member("resize") else { return nil }
        guard let resize = InstanceResize(json: try member.object()) else { throw member.invalid("makes no sense") }
        let flavor = resize.flavor
        guard (1...16_777_216).contains(flavor.memoryMB), (1...4096).contains(flavor.vcpus),
            ([flavor.rootGB] + flavor.ephemeralGB).allSatisfy({ (0...1_048_576).contains($0) })
        else { throw member.invalid("has a flavor out of range") }
        return resize
    }

    static func ticket(_ field: Field) throws -> MigrationTicket {
        guard let ticket = try field.member("ticket")?.object() else { throw field.invalid("has no ticket") }
        return ticket
    }

    /// The name of a transfer, which becomes part of a file's name.
    static func transfer(_ field: Field) throws -> String {
        guard let member = field.member("transfer") else { throw field.invalid("needs transfer") }
        return try DeviceArguments.identifier(member)
    }

    // MARK: The log that comes with it

    static func chunk(_ chunk: ConsoleTransferChunk) -> JSONObject {
        [
            "data": .string(Base64.encode(chunk.data)),
            "offset": .int(chunk.offset),
            "checksum": .int(Int64(chunk.checksum)),
            "first_offset": .int(chunk.firstOffset),
            "end_offset": .int(chunk.endOffset),
        ]
    }

    static func chunk(_ arguments: Arguments) throws -> ConsoleTransferChunk {
        let field = Field("data", arguments.values["data"] ?? .null)
        guard let data = Base64.decode(try field.string(limit: 8 << 20)) else { throw field.invalid("is not base64") }
        return ConsoleTransferChunk(
            data: data,
            offset: try arguments.offset("offset"),
            checksum: UInt32(try arguments.integer("checksum", default: 0, in: 0...Int(UInt32.max))),
            firstOffset: try arguments.offset("first_offset"),
            endOffset: try arguments.offset("end_offset")
        )
    }

    static func seal(_ seal: ConsoleTransferSeal) -> JSONObject {
        [
            "first_offset": .int(seal.firstOffset),
            "end_offset": .int(seal.endOffset),
            "marks": .array(
                seal.marks.map { mark in
                    [
                        "kind": .string(mark.kind.rawValue), "offset": .int(mark.offset), "time": .int(mark.time),
                        "dropped": .int(mark.dropped),
                    ]
                }
            ),
        ]
    }

    static func seal(_ arguments: Arguments) throws -> ConsoleTransferSeal {
        let marks = try Field("marks", arguments.values["marks"] ?? .null).list()
        return ConsoleTransferSeal(
            firstOffset: try arguments.offset("first_offset"),
            endOffset: try arguments.offset("end_offset"),
            // Kinds that a later release may have are left out.
            marks: try marks.compactMap { mark in
                guard let kind = ConsoleMarkKind(rawValue: try mark.text("kind")) else { return nil }
                return ConsoleMark(
                    kind: kind,
                    offset: Int64(try mark.integer("offset", in: 0...Int.max)),
                    time: Int64(try mark.integer("time", in: Int.min...Int.max)),
                    dropped: Int64(try mark.integer("dropped", in: 0...Int.max))
                )
            }
        )
    }

    static func incoming(_ incoming: ConsoleIncoming) -> JSONValue {
        [
            "next_offset": incoming.nextOffset.map(JSONValue.int) ?? .null,
            "installed": .bool(incoming.isInstalled),
        ]
    }
}

extension Field {
    fileprivate func text(_ key: String) throws -> String {
        guard let member = member(key) else { throw invalid("needs \(key)") }
        return try member.string()
    }

    fileprivate func integer(_ key: String, in range: ClosedRange<Int>) throws -> Int {
        guard let member = member(key) else { throw invalid("needs \(key)") }
        return try member.integer(in: range)
    }
}

extension Arguments {
    /// A position in a console log.
    fileprivate func offset(_ name: String) throws -> Int64 {
        Int64(try Field(name, values[name] ?? .null).integer(in: 0...Int.max))
    }
}
