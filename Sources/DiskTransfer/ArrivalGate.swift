import Glibc
package import HostBackend
import Support
import Synchronization

/// Where guests and disks from other processes arrive: a listening port, and the keys of those that are expected.
///
/// One thread accepts, one more serves each connection, at most ``mostAtOnce``; what comes beyond is closed at once, but
/// for the one that has not shown its key for longest: whoever is not expected keeps nobody out by staying. Ends with
/// ``stop()``.
package final class ArrivalGate: Sendable {
    /// Who may come.
    package struct Expected: Sendable {
        package let uuid: InstanceUUID
        package let migration: String
        /// What the certificate has to be for; `nil` = nobody has TLS.
        fileprivate let name: String?
    }

    private struct Connection {
        let socket: MigrationSocket
        let since = ContinuousClock.now
        var hasKey = false
    }

    private struct State {
        var expected: [String: Expected] = [:]
        var connections: [ObjectIdentifier: Connection] = [:]
        var stopped = false

        /// Makes room for one more, if there is anybody to send away for it.
        mutating func makeRoom(_ greeting: Duration) -> Bool {
            guard connections.count >= ArrivalGate.mostAtOnce else { return true }
            let strangers = connections.filter { !$0.value.hasKey }
            guard let (id, oldest) = strangers.min(by: { $0.value.since < $1.value.since }),
                ContinuousClock.now - oldest.since >= greeting
            else { return false }
            oldest.socket.interrupt()
            connections[id] = nil
            return true
        }
    }

    package static let mostAtOnce = 64
    /// A key and what belongs to it.
    private static let largestGreeting = 4096
    /// A key is valid for one connection; those of migrations that never began are dropped oldest unknown first.
    private static let mostExpected = 4096

    package let address: String
    private let tls: MigrationCertificates?
    private let listener: MigrationListener
    private let greeting: Duration
    private let state = Mutex(State())

    /// - Parameters:
    ///   - ports: which to listen at one of; `nil` = any.
    ///   - tls: with it, only who has a certificate of the authority is listened to, and may bring a key only if the
    ///     certificate is for the name that the key is expected of.
    ///   - greeting: how long a connection has its place for itself before it shows a key.
    ///   - serve: called on a thread of its own with each connection that has shown a key.
    package init(
        _ address: String,
        ports: ClosedRange<Int>? = nil,
        tls: MigrationCertificates? = nil,
        limit: Duration,
        greeting: Duration = .seconds(5),
        serve: @escaping @Sendable (MigrationSocket, Expected) -> Void
    ) throws(BackendError) {
        self.address = address
        self.tls = tls
        self.greeting = greeting
        listener = try MigrationListener(address, ports: ports)
        do {
            try ReactorThread.start(name: "arrivals") { [self, listener] in
                while let socket = listener.accept() {
                    socket.setLimit(limit)
                    admit(socket, serve)
                }
            }
        } catch {
            throw BackendError(.resourceExhausted, "no thread for arriving machines: \(error)")
        }
    }

    package var port: Int { listener.port }

    /// - Parameter name: the name, or address, in the certificate of whoever comes; needed with TLS.
    /// - Returns: the key that whoever comes has to bring.
    package func expect(
        _ uuid: InstanceUUID,
        _ migration: String,
        from name: String? = nil
    ) throws(BackendError) -> String {
        guard tls == nil || name != nil else {
            throw BackendError(.invalidArgument, "the source does not say whose certificate it will show")
        }
        let key = UniqueID.make() + UniqueID.make()
        let hasRoom = state.withLock { state in
            state.expected = state.expected.filter { $0.value.uuid != uuid }
            guard state.expected.count < Self.mostExpected, !state.stopped else { return false }
            state.expected[key] = Expected(uuid: uuid, migration: migration, name: name)
            return true
        }
        guard hasRoom else { throw BackendError(.resourceExhausted, "too many machines are expected here") }
        return key
    }

    package func stop() {
        let connections = state.withLock { state in
            state.stopped = true
            state.expected = [:]
            return Array(state.connections.values)
        }
        listener.stop()
        for connection in connections { connection.socket.interrupt() }
    }

    private func admit(_ socket: MigrationSocket, _ serve: @escaping @Sendable (MigrationSocket, Expected) -> Void) {
        let isAdmitted = state.withLock { state in
            guard !state.stopped, state.makeRoom(greeting) else { return false }
            state.connections[ObjectIdentifier(socket)] = Connection(socket: socket)
            return true
        }
        guard isAdmitted else { return }
        let body: @Sendable () -> Void = { [self] in
            if let expected = greet(socket) { serve(socket, expected) }
            state.withLock { _ = $0.connections.removeValue(forKey: ObjectIdentifier(socket)) }
        }
        do {
            try ReactorThread.start(name: "arrival", body)
        } catch {
            state.withLock { _ = $0.connections.removeValue(forKey: ObjectIdentifier(socket)) }
        }
    }

    /// Takes the key of a connection, which is valid once.
    private func greet(_ socket: MigrationSocket) -> Expected? {
        do throws(BackendError) {
            if let tls { try socket.secure(with: tls) }
            let (kind, content) = try MigrationFrame.receive(on: socket, atMost: Self.largestGreeting)
            guard kind == .hello, let key = try MigrationFrame.object(content)["key"]?.stringValue else { return nil }
            let known = state.withLock { state in
                let expected = state.expected.removeValue(forKey: key)
                if expected != nil { state.connections[ObjectIdentifier(socket)]?.hasKey = true }
                return expected
            }
            guard let expected = known else {
                try MigrationFrame.send(.failed, Array("nobody is expected with this key".utf8), on: socket)
                return nil
            }
            if let name = expected.name {
                do throws(BackendError) { try socket.checkPeer(name) } catch {
                    try MigrationFrame.send(.failed, Array(error.message.utf8), on: socket)
                    return nil
                }
            }
            try MigrationFrame.send(.ok, on: socket)
            return expected
        } catch {
            return nil
        }
    }
}
