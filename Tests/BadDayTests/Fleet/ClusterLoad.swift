import DaemonBench
import Foundation
import OsloMessaging
import RPCClient
import Support
import Synchronization
import TestSupport

/// Durable calls and spawn casts from all clients of a fleet, without pause for faults. Calls reboot machines, whose
/// boots are counted by the hosts: what is done twice shows.
final class ClusterLoad: Sendable {
    struct Machine: Sendable {
        var uuid: String
        /// Empty for one that was spawned on the topic.
        var host: String

        var isAnywhere: Bool { host.isEmpty }
    }

    struct Sent: Sendable {
        var requests = 0
        var answered = 0
        var machines: [Machine] = []
        /// Reboots.
        var boots: [Placement: Int] = [:]
    }

    /// What callers noticed of a fault.
    struct Fault: Sendable {
        var longestGap = Duration.zero
        var slowestCall = Duration.zero
    }

    private struct State {
        var sent = Sent()
        var fault = Fault()
        var lastAnswer = ContinuousClock.now
        var answered: [Int]
        var isOver = false
    }

    private static let pause = Duration.milliseconds(20)

    private let fleet: Fleet
    private let state: Mutex<State>

    init(_ fleet: Fleet) {
        self.fleet = fleet
        state = Mutex(State(answered: fleet.clients.map { _ in 0 }))
    }

    var sent: Sent { state.withLock { $0.sent } }
    private var isOver: Bool { state.withLock { $0.isOver } }

    /// Runs `body` under load and lets everything that was begun come to its end.
    func run(callersPerClient: Int, _ body: @escaping @Sendable () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in fleet.clients.indices {
                for caller in 0..<callersPerClient {
                    group.addTask { try await self.reboot(number, caller * self.fleet.clients.count + number) }
                }
            }
            group.addTask {
                defer { self.state.withLock { $0.isOver = true } }
                try await body()
            }
            while try await group.next() != nil {}
        }
    }

    /// Waits until some calls of every client were answered.
    func flows(_ moment: String) async throws {
        let before = state.withLock { $0.answered }
        try await eventually(timeout: .seconds(120), "answers to all clients \(moment)") {
            self.state.withLock { state in zip(state.answered, before).allSatisfy { $0 >= $1 + 20 } }
        }
    }

    func beginFault() {
        state.withLock { state in
            state.fault = Fault()
            state.lastAnswer = .now
        }
    }

    func endFault() -> Fault { state.withLock { $0.fault } }

    /// Spawns a machine and reboots it again and again; after every second call a cast spawns another machine.
    private func reboot(_ client: Int, _ number: Int) async throws {
        let hosts = fleet.allHosts
        let instance = TestInstance("called-\(number)", on: hosts[number % hosts.count])
        let place = Placement(host: instance.host, uuid: instance.uuid)
        state.withLock { $0.sent.machines.append(Machine(uuid: instance.uuid, host: instance.host)) }
        try await call(client, "spawn", ["instance": instance.description], instance.host)
        var arguments = instance.reference
        arguments["reboot_type"] = "HARD"
        var count = 0
        while !isOver {
            try await call(client, "reboot", arguments, instance.host)
            state.withLock { $0.sent.boots[place, default: 0] += 1 }
            count += 1
            if count % 2 == 0 { try await castSpawn(client, anywhere: count % 4 == 0) }
            try await Task.sleep(for: Self.pause)
        }
    }

    /// A call that has to succeed, however long it takes.
    private func call(_ client: Int, _ method: String, _ arguments: JSONObject, _ host: String) async throws {
        state.withLock { $0.sent.requests += 1 }
        let start = ContinuousClock.now
        _ = try await fleet.clients[client].call(Fleet.target(host), method, arguments, timeout: .seconds(180))
        let now = ContinuousClock.now
        state.withLock { state in
            state.sent.answered += 1
            state.answered[client] += 1
            state.fault.longestGap = max(state.fault.longestGap, now - state.lastAnswer)
            state.fault.slowestCall = max(state.fault.slowestCall, now - start)
            state.lastAnswer = now
        }
    }

    private func castSpawn(_ client: Int, anywhere: Bool) async throws {
        let host = anywhere ? "" : fleet.allHosts.randomElement() ?? ""
        let instance = TestInstance("cast-\(client)", on: host)
        state.withLock { state in
            state.sent.requests += 1
            state.sent.machines.append(Machine(uuid: instance.uuid, host: host))
        }
        try await fleet.clients[client].cast(
            Fleet.target(anywhere ? nil : host),
            "spawn",
            ["instance": instance.description],
            mandatory: true
        )
    }
}
