import HostBackend
import JSONCodec
import Support
import Synchronization
import Testing

@testable import DiskTransfer

/// Who may stay at the door, and for how long.
@Suite(.timeLimit(.minutes(1))) struct ArrivalGateTests {
    private static func gate(greeting: Duration) throws -> ArrivalGate {
        try ArrivalGate("127.0.0.1", limit: .seconds(60), greeting: greeting) { socket, _ in
            // Until the other side goes.
            _ = try? socket.receive(1)
        }
    }

    private static func connect(_ gate: ArrivalGate) async throws -> MigrationSocket {
        try await BlockingPool.shared.run {
            try MigrationSocket.connect(to: "127.0.0.1", port: gate.port, limit: .seconds(30))
        }
    }

    private static func greet(_ gate: ArrivalGate) async throws -> MigrationSocket {
        let uuid = try #require(InstanceUUID("8b6f0000-0000-4000-8000-000000000001"))
        let key = try gate.expect(uuid, "m")
        let socket = try await connect(gate)
        try await BlockingPool.shared.run {
            try MigrationFrame.send(.hello, ["key": .string(key)], on: socket)
            try MigrationFrame.expect(.ok, on: socket)
        }
        return socket
    }

    @Test func strangersKeepNobodyOut() async throws {
        let gate = try Self.gate(greeting: .zero)
        defer { gate.stop() }
        var strangers: [MigrationSocket] = []
        for _ in 0..<ArrivalGate.mostAtOnce { strangers.append(try await Self.connect(gate)) }
        _ = try await Self.greet(gate)
        // The first of them has gone for it.
        let first = strangers[0]
        let error = await #expect(throws: BackendError.self) {
            try await BlockingPool.shared.run { _ = try first.receive(1) }
        }
        #expect(error?.code == .unavailable)
    }

    @Test func whoHasShownAKeyStays() async throws {
        let gate = try Self.gate(greeting: .zero)
        defer { gate.stop() }
        var guests: [MigrationSocket] = []
        for _ in 0..<ArrivalGate.mostAtOnce { guests.append(try await Self.greet(gate)) }
        await #expect(throws: BackendError.self) { _ = try await Self.greet(gate) }
        guests.removeLast()
        // Its place is free once the gate has seen it go.
        while (try? await Self.greet(gate)) == nil { await Task.yield() }
    }

    @Test func aPlaceIsOnesOwnForAWhile() async throws {
        let gate = try Self.gate(greeting: .seconds(3600))
        defer { gate.stop() }
        var strangers: [MigrationSocket] = []
        for _ in 0..<ArrivalGate.mostAtOnce { strangers.append(try await Self.connect(gate)) }
        await #expect(throws: BackendError.self) { _ = try await Self.greet(gate) }
        #expect(strangers.count == ArrivalGate.mostAtOnce)
    }

    /// Memory is taken for what is announced, so a stranger may announce little.
    @Test func aGreetingIsShort() async throws {
        let gate = try Self.gate(greeting: .seconds(3600))
        defer { gate.stop() }
        let socket = try await Self.connect(gate)
        let error = await #expect(throws: BackendError.self) {
            try await BlockingPool.shared.run {
                try socket.send([MigrationFrame.Kind.hello.rawValue, 0, 0, 0x10, 0x01])
                _ = try socket.receive(1)
            }
        }
        #expect(error?.code == .unavailable)
    }
}
