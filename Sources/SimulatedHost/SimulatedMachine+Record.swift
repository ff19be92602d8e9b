import HostBackend
import Support

extension SimulatedMachine.State {
    private static let version: Int64 = 1

    /// The machine's file.
    func record(_ incarnation: UInt64, _ clock: SimulatedClock, _ withConsole: Bool) -> JSONObject {
        func guestRecord(_ guest: Guest, _ withConsole: Bool) -> JSONValue {
            .object(guest.record(at: clock.now, wall: clock.wall, withConsole: withConsole))
        }
        var record: JSONObject = [
            "version": .int(Self.version),
            "incarnation": .int(Int64(clamping: incarnation)),
            "phase": .string(phase.rawValue),
            "disk_gb": .int(Int64(diskGB)),
            "spec": .object(spec.record),
            "guest": guestRecord(guest, withConsole),
        ]
        if let held, case .object(var guest)? = record["guest"] {
            guest["power"] = .string(held.rawValue)
            record["guest"] = .object(guest)
        }
        if let migration { record["migration"] = .string(migration) }
        if let destination { record["destination"] = .string(destination) }
        if leftProcess { record["left_process"] = true }
        if let incoming { record["incoming"] = guestRecord(incoming, true) }
        if !received.isEmpty { record["received"] = .array(received.map { .string($0) }) }
        // It runs on at the destination, where nobody else can know what it had still to print.
        if let departed { record["departed"] = guestRecord(departed, true) }
        return record
    }

    /// Reads a machine's file.
    init(
        record: JSONObject,
        settings: SimulatedSettings,
        clock: SimulatedClock
    ) throws(BackendError) {
        guard record["version"]?.intValue == Self.version,
            let specRecord = record["spec"]?.objectValue, let guestRecord = record["guest"]?.objectValue,
            let phase = record["phase"]?.stringValue.flatMap(SimulatedMachine.Phase.init(rawValue:))
        else { throw BackendError(.internal, "not a machine's record of this version") }
        let spec = try MachineSpec(record: specRecord)
        let behaviour = try settings.guest.applying(spec.metadata)
        func restored(_ record: JSONObject, isResting: Bool = false) throws(BackendError) -> Guest {
            var guest = Guest(name: spec.name, behaviour: behaviour, bufferLimit: settings.consoleBufferBytes)
            try guest.restore(record, at: clock.now, wall: clock.wall, isResting: isResting)
            return guest
        }
        self.init(
            phase: phase,
            spec: spec,
            guest: try restored(guestRecord),
            diskGB: Int(clamping: record.count("disk_gb")),
            migration: record["migration"]?.stringValue,
            destination: record["destination"]?.stringValue
        )
        leftProcess = record["left_process"]?.boolValue ?? false
        if let left = record["departed"]?.objectValue { departed = try restored(left, isResting: true) }
        received = record["received"]?.arrayValue?.compactMap(\.stringValue) ?? []
        if let come = record["incoming"]?.objectValue { incoming = try restored(come, isResting: true) }
    }
}
