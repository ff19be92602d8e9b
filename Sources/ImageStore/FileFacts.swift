import DiskImages
import Synchronization

/// What was found out about files, for as long as they stay as they are. Holds at most ``limit`` entries; when it is
/// full it forgets all.
final class FileFacts<Fact: Sendable>: Sendable {
    private struct Identity: Sendable, Hashable {
        var device: UInt64
        var inode: UInt64
        var size: UInt64
        var modified: Int64
    }

    private let limit = 4096
    private let facts = Mutex<[Identity: Fact]>([:])

    subscript(status: FileCalls.Status) -> Fact? {
        get { facts.withLock { $0[Self.identity(status)] } }
        set {
            facts.withLock { facts in
                if facts.count >= limit { facts.removeAll() }
                facts[Self.identity(status)] = newValue
            }
        }
    }

    private static func identity(_ status: FileCalls.Status) -> Identity {
        Identity(device: status.device, inode: status.inode, size: status.size, modified: status.modified)
    }
}
