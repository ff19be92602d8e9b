import HostBackend
import Support
import Synchronization

/// The logs in use: those of running sessions, and those that somebody reads at the moment.
final class ConsoleRegistry: Sendable {
    /// A log, and the lane in which its session is started and ended: the console lock.
    final class Entry: Sendable {
        let log: ConsoleLog
        let lane = SerialLane()
        private let session = Mutex<ConsoleSession?>(nil)

        init(_ log: ConsoleLog) { self.log = log }

        var current: ConsoleSession? {
            get { session.withLock { $0 } }
            set { session.withLock { $0 = newValue } }
        }
    }

    private struct Use {
        let entry: Entry
        var users = 1
    }

    private let uses = Mutex<[InstanceUUID: Use]>([:])

    /// The entry, made if missing; it stays for as long as it is held or has a session.
    func hold(_ uuid: InstanceUUID, _ directory: String, _ make: () -> ConsoleLog) -> Entry {
        uses.withLock { uses in
            if let use = uses[uuid], use.entry.log.directory == directory || use.entry.current != nil {
                uses[uuid]?.users += 1
                return use.entry
            }
            let entry = Entry(make())
            uses[uuid] = Use(entry: entry)
            return entry
        }
    }

    func letGo(_ uuid: InstanceUUID, _ entry: Entry) {
        uses.withLock { uses in
            guard var use = uses[uuid], use.entry === entry else { return }
            use.users -= 1
            uses[uuid] = use.users == 0 && entry.current == nil ? nil : use
        }
    }

    func entry(_ uuid: InstanceUUID) -> Entry? { uses.withLock { $0[uuid]?.entry } }

    var all: [(uuid: InstanceUUID, entry: Entry)] { uses.withLock { uses in uses.map { ($0.key, $0.value.entry) } } }

    var sessions: Int { uses.withLock { uses in uses.values.count { $0.entry.current != nil } } }
}
