import Console
import HostBackend
import OsloMessaging
import Support
import VMOps

/// Reads of the console log, which work in every power state and while operations are in progress, and input.
extension DriverMethods {
    private static let mostBytesPerRead = 1 << 20
    private static let mostBytesPerWrite = 4096
    private static let longestWait = 30

    var consoles: [RemoteMethod] {
        [
            reading("get_console_output", [.required("instance"), .optional("tail_length")]) {
                [operations] arguments in
                let uuid = try InstanceArgument(arguments).resolve(operations)
                let tail = try Self.tailLength(arguments["tail_length"])
                return .string(try await operations.consoleOutput(uuid, tailLength: tail))
            },
            reading(
                "console_read",
                [.required("instance"), .optional("offset"), .optional("max_bytes"), .optional("wait")]
            ) { [operations] arguments in
                let uuid = try InstanceArgument(arguments).resolve(operations)
                let chunk = try await operations.consoleRead(
                    uuid,
                    offset: Int64(try arguments.integer("offset", default: 0, in: Int.min...Int.max)),
                    maxBytes: try arguments.integer(
                        "max_bytes",
                        default: 65_536,
                        in: 1...Self.mostBytesPerRead
                    ),
                    wait: .seconds(try arguments.integer("wait", default: 0, in: 0...Self.longestWait))
                )
                return [
                    "data": .string(Base64.encode(chunk.data)),
                    "offset": .int(chunk.offset),
                    "next_offset": .int(chunk.nextOffset),
                    "first_offset": .int(chunk.firstOffset),
                    "end_offset": .int(chunk.endOffset),
                    "eof": .bool(chunk.eof),
                ]
            },
            reading("console_write", [.required("instance"), .required("data")]) { [operations] arguments in
                let uuid = try InstanceArgument(arguments).resolve(operations)
                try await operations.consoleWrite(uuid, try Self.input(arguments))
                return .null
            },
            reading("console_marks", [.required("instance")]) { [operations] arguments in
                let uuid = try InstanceArgument(arguments).resolve(operations)
                return .array(try await operations.consoleMarks(uuid).map(Self.mark))
            },
            reading("console_status", [.required("instance")]) { [operations] arguments in
                let uuid = try InstanceArgument(arguments).resolve(operations)
                return Self.status(try await operations.consoleStatus(uuid))
            },
        ]
    }

    private static func input(_ arguments: Arguments) throws -> [UInt8] {
        let field = Field("data", arguments["data"] ?? .null)
        guard let bytes = Base64.decode(try field.string(limit: 2 * mostBytesPerWrite)) else {
            throw field.invalid("is not base64")
        }
        guard (1...mostBytesPerWrite).contains(bytes.count) else {
            throw field.invalid("must be from 1 to \(mostBytesPerWrite) bytes")
        }
        return bytes
    }

    /// Nova's rule: a number, also as text; what is none counts as 0 (VM operations, section 7.6).
    private static func tailLength(_ value: JSONValue?) throws -> Int? {
        switch value {
        case nil: nil
        case .int(let number): Int(clamping: number)
        case .double(let number) where number.isFinite: Int(clamping: Int64(min(max(number, -1e15), 1e15)))
        case .string(let text): Int(text) ?? 0
        default: 0
        }
    }

    private static func mark(_ mark: ConsoleMark) -> JSONValue {
        var object: JSONObject = [
            "kind": .string(mark.kind.rawValue),
            "offset": .int(mark.offset),
            "time": .double(Double(mark.time) / 1e9),
        ]
        if mark.kind == .gap { object["dropped_bytes"] = .int(mark.dropped) }
        return .object(object)
    }

    private static func status(_ status: ConsoleStatus) -> JSONValue {
        [
            "state": .string(status.state.rawValue),
            "bytes_in": .int(status.bytesIn),
            "bytes_written": .int(status.bytesWritten),
            "dropped_bytes": .int(status.bytesDropped),
            "pending_bytes": .int(status.bytesPending),
            "rotations": .int(status.rotations),
            "reconnects": .int(status.reconnects),
            "last_byte_time": status.lastByteTime.map { .double(Double($0) / 1e9) } ?? .null,
            "first_offset": .int(status.firstOffset),
            "end_offset": .int(status.endOffset),
            "problem": status.problem.map(JSONValue.string) ?? .null,
        ]
    }
}
