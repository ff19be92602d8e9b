import Glibc
package import HostBackend
package import Support
import Synchronization

/// Disks on their way between hosts: the source connects to the destination's address on the migration network, shows
/// its key, and sends what is not zero of each file.
///
/// One thread per connection on either side, both ended by the limit on calls that get nowhere. Memory in use is a
/// megabyte per connection, whatever the size of the disks.
package final class DiskTransfer: DiskCarrier {
    private struct State {
        var gate: ArrivalGate?
        var expected: [String: [Int: String]] = [:]
        /// The one connection of a transfer.
        var active: [String: MigrationSocket] = [:]
    }

    /// How long a connection waits for the end of the one before it.
    private static let patience = Duration.seconds(5)

    private let address: String
    private let ports: ClosedRange<Int>?
    private let tls: MigrationCertificates?
    private let bandwidth: Int?
    private let limit: Duration
    private let state = Mutex(State())

    /// - Parameters:
    ///   - address: where this host listens, once a disk is expected.
    ///   - ports: which to listen at one of; `nil` = any.
    ///   - tls: with what connections are encrypted; `nil` = not at all.
    ///   - bandwidth: bytes a second that one transfer sends; `nil` = any number.
    ///   - limit: how long a connection may stand still.
    package init(
        address: String,
        ports: ClosedRange<Int>? = nil,
        tls: MigrationCertificates? = nil,
        bandwidth: Int? = nil,
        limit: Duration = .seconds(30)
    ) {
        self.address = address
        self.ports = ports
        self.tls = tls
        self.bandwidth = bandwidth
        self.limit = limit
    }

    deinit { state.withLock { $0.gate }?.stop() }

    // MARK: Destination

    package var offer: JSONObject { ["tls": .bool(tls != nil)] }

    package func expect(
        _ uuid: InstanceUUID,
        transfer: String,
        disks: [CarriedDisk],
        from source: JSONObject
    ) async throws -> JSONObject {
        let gate = try state.withLock { state throws(BackendError) in
            state.expected[transfer] = Dictionary(disks.map { ($0.number, $0.path) }) { $1 }
            if let gate = state.gate { return gate }
            let gate = try ArrivalGate(address, ports: ports, tls: tls, limit: limit) { [weak self] socket, expected in
                self?.serve(socket, expected.migration)
            }
            state.gate = gate
            return gate
        }
        var way: JSONObject = [
            "address": .string(address), "port": .int(Int64(gate.port)),
            "key": .string(try gate.expect(uuid, transfer, from: tls == nil ? nil : source["tls_name"]?.stringValue)),
        ]
        if let tls { way["tls_name"] = .string(tls.name ?? address) }
        return way
    }

    package func forget(_ transfer: String) {
        let socket = state.withLock { state in
            state.expected[transfer] = nil
            return state.active[transfer]
        }
        socket?.interrupt()
    }

    /// On the connection's own thread. A source that connects again has done with the earlier connection, which may not
    /// know it yet: it is ended. One that does not end in time stands in the way, and the source has to come again.
    private func serve(_ socket: MigrationSocket, _ transfer: String) {
        let end = ContinuousClock.now + Self.patience
        while true {
            let (paths, other) = state.withLock { state -> ([Int: String]?, MigrationSocket?) in
                guard let paths = state.expected[transfer] else { return (nil, nil) }
                if let other = state.active[transfer] { return (nil, other) }
                state.active[transfer] = socket
                return (paths, nil)
            }
            if let paths {
                var session = DiskArrival(socket, paths: paths, transfer: transfer)
                session.run()
                state.withLock { $0.active[transfer] = nil }
                return
            }
            guard let other, ContinuousClock.now < end else { return }
            other.interrupt()
            usleep(5000)
        }
    }

    // MARK: Source

    package func agree(to offer: JSONObject) throws -> JSONObject {
        try MigrationCertificates.agree(ours: tls, theirs: offer["tls"]?.boolValue ?? false)
        guard let tls else { return [:] }
        return ["tls_name": .string(tls.name ?? address)]
    }

    package func send(
        _ disks: [CarriedDisk],
        to way: JSONObject,
        progress: @escaping @Sendable (_ done: UInt64, _ total: UInt64) async -> Void
    ) async throws {
        guard let address = way["address"]?.stringValue, let port = way["port"]?.intValue, (1...65_535).contains(port),
            let key = way["key"]?.stringValue
        else { throw BackendError(.invalidArgument, "the destination names no way for disks") }
        let thread = BlockingPool(label: "vmops.disks", width: 1)
        // Whoever answers without TLS where it was agreed on is not listened to.
        let (limit, tls, name) = (limit, tls, way["tls_name"]?.stringValue)
        let socket = try await thread.run {
            try MigrationSocket.connect(to: address, port: Int(port), limit: limit, tls: tls, name: name)
        }
        try await withTaskCancellationHandler {
            defer { socket.interrupt() }
            do {
                try await thread.run {
                    try MigrationFrame.send(.hello, ["key": .string(key)], on: socket)
                    try MigrationFrame.expect(.ok, on: socket)
                }
                try await send(disks, socket, thread, progress)
            } catch {
                try Task.checkCancellation()
                throw error
            }
        } onCancel: {
            socket.interrupt()
        }
    }

    private func send(
        _ disks: [CarriedDisk],
        _ socket: MigrationSocket,
        _ thread: BlockingPool,
        _ progress: @escaping @Sendable (_ done: UInt64, _ total: UInt64) async -> Void
    ) async throws {
        let departures = try await thread.run { try disks.map { try DiskDeparture($0) } }
        let total = departures.reduce(0) { $0 + $1.size }
        var done: UInt64 = 0
        for departure in departures {
            let isThere = try await thread.run { try departure.begin(on: socket) }
            while !isThere {
                let sent = try await thread.run { try departure.step(on: socket) }
                await progress(done + departure.position, total)
                guard let sent else { break }
                if let bandwidth, sent > 0 {
                    try await Task.sleep(for: .nanoseconds(Int64(sent) * 1_000_000_000 / Int64(max(1, bandwidth))))
                }
            }
            if !isThere { try await thread.run { try departure.end(on: socket) } }
            done += departure.size
            await progress(done, total)
        }
    }
}
