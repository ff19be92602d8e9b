import HostBackend
import Support

/// A guest as it is written down, for a later worker or another host to go on with.
extension Guest {
    /// - Parameters:
    ///   - now: the guests' clock.
    ///   - wall: nanoseconds since 1970, by which a later worker knows how long ago this was.
    ///   - withConsole: whether to keep printed bytes that nobody read, and which numbered lines are printed. Only
    ///     true when nothing is printed or read afterwards; else it would come a second time.
    func record(at now: UInt64, wall: UInt64, withConsole: Bool) -> JSONObject {
        var record: JSONObject = [
            "power": .string(power.rawValue),
            "ran_ns": .int(Int64(clamping: uptime(at: now))),
            "wall_ns": .int(Int64(clamping: wall)),
            "boots": .int(Int64(clamping: boots)),
            "lines": .int(Int64(clamping: ticks)),
            "ready": .bool(isReady),
            "refusals": .int(Int64(refusals)),
            "typed": .string(Base64.encode(inputLine)),
        ]
        if let shutdownAt { record["shutdown_at_ns"] = .int(Int64(clamping: shutdownAt)) }
        // A guest that does not run prints nothing more until it is started from this very record.
        guard withConsole || power != .running else { return record }
        record["exact"] = true
        record["line_start"] = .bool(output.isAtLineStart)
        record["to_print"] = .array(output.generators.map(\.record))
        // Printed bytes may be on their way to a reader while this is written.
        if withConsole { record["printed"] = .string(Base64.encode(output.waiting)) }
        return record
    }

    /// Goes on where the record ends: a guest that ran has run in the meantime too.
    mutating func restore(_ record: JSONObject, at now: UInt64, wall: UInt64) throws(BackendError) {
        guard let power = record["power"]?.stringValue.flatMap(Power.init(rawValue:)) else {
            throw BackendError(.internal, "the machine's record has no power state")
        }
        var ran = record.count("ran_ns")
        let written = record.count("wall_ns")
        if power == .running, wall > written { ran += wall - written }
        restore(
            power: power,
            ranBefore: ran,
            runningSince: power == .running ? now : nil,
            boots: record.count("boots"),
            isReady: record["ready"]?.boolValue ?? false,
            shutdownAt: record["shutdown_at_ns"]?.intValue.map { UInt64(clamping: $0) },
            refusals: Int(clamping: record.count("refusals"))
        )
        inputLine = record.bytes("typed")
        if record["exact"]?.boolValue == true {
            ticks = record.count("lines")
            output.append(record.bytes("printed"))
            let rest = record["to_print"]?.arrayValue ?? []
            output.take(
                generators: rest.compactMap(ConsoleOutput.Generator.init(record:)),
                isAtLineStart: record["line_start"]?.boolValue ?? true
            )
        } else {
            goOnAfterCrash(ran)
        }
    }

    /// What was printed is not known to the byte: go on behind everything that can have been, so that no line comes
    /// twice.
    private mutating func goOnAfterCrash(_ ran: UInt64) {
        ticks = ticksDue(at: ran)
        if behaviour.consoleMode == .flood, isReady {
            // No flood prints ten million lines a second: the number jumps, and never repeats.
            output.enqueue(.flood(next: ran / 100 + 1, length: behaviour.lineBytes))
        }
    }
}

extension JSONObject {
    /// Bytes written as base64; none when absent.
    fileprivate func bytes(_ key: String) -> [UInt8] { self[key]?.stringValue.flatMap { Base64.decode($0) } ?? [] }
}

extension ConsoleOutput.Generator {
    var record: JSONValue {
        func number(_ value: UInt64) -> JSONValue { .int(Int64(clamping: value)) }
        return switch self {
        case .bytes(let bytes): ["bytes": .string(Base64.encode(bytes))]
        case .bootLog(let next, let last): ["boot_next": number(next), "last": number(last)]
        case .lines(let next, let last, let length):
            ["line_next": number(next), "last": number(last), "length": .int(Int64(length))]
        case .flood(let next, let length): ["flood_next": number(next), "length": .int(Int64(length))]
        case .blocks(let count): ["blocks": number(count)]
        }
    }

    init?(record value: JSONValue) {
        guard let record = value.objectValue else { return nil }
        let length = Int(clamping: record.count("length"))
        if let text = record["bytes"]?.stringValue {
            self = .bytes(Base64.decode(text) ?? [])
        } else if record["boot_next"] != nil {
            self = .bootLog(next: record.count("boot_next"), last: record.count("last"))
        } else if record["line_next"] != nil {
            self = .lines(next: record.count("line_next"), last: record.count("last"), length: length)
        } else if record["flood_next"] != nil {
            self = .flood(next: record.count("flood_next"), length: length)
        } else if record["blocks"] != nil {
            self = .blocks(record.count("blocks"))
        } else {
            return nil
        }
    }
}
