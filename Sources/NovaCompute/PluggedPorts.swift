import Support
import Synchronization

/// What the network service tells of ports that boots wait for. From ``begin(_:)`` on nothing that is told of an
/// instance's ports is lost, whether anybody waits yet or not; what is told of other instances is nobody's business here.
final class PluggedPorts: Sendable {
    /// More ports than a request may have; what is told of further ones is dropped.
    private static let mostPorts = 1024

    private struct Boot {
        /// Whether the port was plugged, by identifier.
        var told: [String: Bool] = [:]
        var isWanted: @Sendable ([String: Bool]) -> Bool = { _ in false }
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let boots = Mutex<[String: Boot]>([:])

    /// Boots that take notice; for tests.
    var count: Int { boots.withLock { $0.count } }

    /// A boot begins that may come to wait. One instance has one boot at a time.
    func begin(_ instance: String) { boots.withLock { $0[instance] = Boot() } }

    func end(_ instance: String) {
        boots.withLock { $0.removeValue(forKey: instance) }?.waiter?.resume()
    }

    /// - Parameter isPlugged: `false`: the network service has failed to.
    func note(_ port: String, of instance: String, isPlugged: Bool) {
        let waiter = boots.withLock { boots -> CheckedContinuation<Void, Never>? in
            guard var boot = boots[instance], boot.told[port] != nil || boot.told.count < Self.mostPorts else {
                return nil
            }
            boot.told[port] = isPlugged
            defer { boots[instance] = boot }
            guard boot.isWanted(boot.told), let waiter = boot.waiter else { return nil }
            boot.waiter = nil
            return waiter
        }
        waiter?.resume()
    }

    /// Returns when something was told of all of the ports, or of one that it cannot be plugged and `stopsAtFailure`. To
    /// be called between ``begin(_:)`` and ``end(_:)``, once at a time.
    ///
    /// - Returns: the ports that could not be plugged.
    /// - Throws: `CancellationError`.
    func wait(for ports: Set<String>, of instance: String, stopsAtFailure: Bool) async throws -> Set<String> {
        let isWanted: @Sendable ([String: Bool]) -> Bool = { told in
            if stopsAtFailure, ports.contains(where: { told[$0] == false }) { return true }
            return ports.allSatisfy { told[$0] != nil }
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = boots.withLock { boots in
                    guard var boot = boots[instance], !Task.isCancelled, !isWanted(boot.told) else { return true }
                    boot.isWanted = isWanted
                    boot.waiter = continuation
                    boots[instance] = boot
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            boots.withLock { boots -> CheckedContinuation<Void, Never>? in
                defer { boots[instance]?.waiter = nil }
                return boots[instance]?.waiter
            }?.resume()
        }
        try Task.checkCancellation()
        let told = boots.withLock { $0[instance]?.told ?? [:] }
        return ports.filter { told[$0] == false }
    }

    /// Those of the ports of which nothing was told.
    func missing(_ ports: Set<String>, of instance: String) -> Set<String> {
        let told = boots.withLock { $0[instance]?.told ?? [:] }
        return ports.filter { told[$0] == nil }
    }
}
