import HostBackend
import QMP
import Support
import Synchronization

/// Devices that come and go while QEMU runs. What is there is asked of QEMU, not remembered: a worker may have ended
/// between a command and the record of it.
extension QEMUMachine {
    /// When a guest that has not let go of a device is asked again: it may have been busy booting.
    private static let unplugPause = Duration.seconds(5)
    /// How long a node may be in use after its device is gone.
    private static let nodeTime = Duration.seconds(3)

    /// Whether devices are changed in a running QEMU, or in the record alone.
    ///
    /// - Throws: `invalidState` where neither can be: a suspended machine's memory knows its devices.
    func changesDevicesLive(_ what: String) async throws -> Bool {
        try await endLingering(TimeLimit(settings.quitTimeout * 2))
        let record = record
        if record.state == .saved || record.saved != nil || record.task != nil { throw refusal(what) }
        return record.process != nil
    }

    func hasDevice(_ id: String) async throws -> Bool {
        let children = try await execute("qom-list", ["path": "/machine/peripheral"]).arrayValue ?? []
        return children.contains { $0["name"]?.stringValue == id }
    }

    /// Removes a device if it is there, and waits until the guest has let go of it.
    ///
    /// - Throws: `timeout` when it does not; it may yet do so later, which a repetition finds out.
    func removeDevice(_ id: String) async throws {
        let limit = TimeLimit(settings.unplugTimeout)
        var pause = Duration.milliseconds(2)
        while try await hasDevice(id) {
            // A request that is under way already is refused, as is one for a device that has just gone.
            do { try await execute("device_del", ["id": .string(id)]) } catch { try Self.passRefusal(error) }
            let attempt = TimeLimit(limit.atMost(Self.unplugPause))
            while try await hasDevice(id), !attempt.isOver {
                try await Task.sleep(for: pause)
                pause = min(pause * 2, .milliseconds(100))
            }
            if limit.isOver, try await hasDevice(id) {
                throw BackendError(.timeout, "the guest of machine \(uuid) does not let go of \(id)")
            }
        }
    }

    func nodes() async throws -> [JSONValue] {
        try await execute("query-named-block-nodes", ["flat": true]).arrayValue ?? []
    }

    func hasNode(_ name: String) async throws -> Bool {
        try await nodes().contains { $0["node-name"]?.stringValue == name }
    }

    /// Closes a block node if it is there.
    func removeNode(_ name: String) async throws {
        let limit = TimeLimit(Self.nodeTime)
        while try await hasNode(name) {
            do {
                try await execute("blockdev-del", ["node-name": .string(name)])
            } catch {
                // Its device goes a moment after QEMU has said so.
                try Self.passRefusal(error)
                if limit.isOver { throw error }
                try await Task.sleep(for: .milliseconds(20))
            }
        }
    }

    /// Throws what is no refusal.
    static func passRefusal(_ error: BackendError) throws(BackendError) {
        if (error.cause as? QMPError)?.code != .refused { throw error }
    }

    /// Writes a changed definition; if that fails the definition is what it was.
    func saveDefinition(_ change: (inout MachineRecord) -> Void) async throws {
        let before = state.withLock { state in
            let before = state.record
            change(&state.record)
            return before
        }
        do {
            try await save()
        } catch {
            state.withLock { state in
                state.record.spec = before.spec
                state.record.slots = before.slots
            }
            throw error
        }
    }
}
