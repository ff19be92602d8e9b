import Console
import HostBackend
import SimulatedHost
import TestSupport
import Testing

@testable import VMOps

/// Every cell of the state table, VM operations section 5.2, on a host; with what becomes of the console, section 5.3.
@Suite(.timeLimit(.minutes(5))) struct StateTableTests {
    enum Cell: Sendable, Equatable {
        case becomes(MachineState)
        case fails(String)
        case gone
    }

    static let states: [MachineState?] = [nil, .off, .running, .paused, .saved, .error]

    static let table: [(StateOperation, [Cell])] = [
        (.spawn, [.becomes(.running)] + Array(repeating: .fails("InstanceExists"), count: 5)),
        (.powerOn, [.fails("InstanceNotFound")] + Array(repeating: .becomes(.running), count: 5)),
        (.powerOffSoft, [.fails("InstanceNotFound")] + Array(repeating: .becomes(.off), count: 5)),
        (.powerOffHard, [.fails("InstanceNotFound")] + Array(repeating: .becomes(.off), count: 5)),
        (.rebootSoft, [.fails("InstanceNotFound")] + Array(repeating: .becomes(.running), count: 5)),
        (.rebootHard, [.fails("InstanceNotFound")] + Array(repeating: .becomes(.running), count: 5)),
        (.pause, refusing([.running: .paused, .paused: .paused])),
        (.unpause, refusing([.running: .running, .paused: .running])),
        (.suspend, refusing([.running: .saved, .paused: .saved, .saved: .saved])),
        (.resume, refusing([.off: .running, .running: .running, .paused: .running, .saved: .running])),
        (
            .snapshot,
            refusing([.off: .off, .running: .running, .paused: .paused, .saved: .saved])
        ),
        (
            .liveMigration,
            [
                .fails("InstanceNotFound"), .fails("InstanceInvalidState"), .gone, .gone,
                .fails("InstanceInvalidState"), .fails("InstanceInvalidState"),
            ]
        ),
        (.destroy, Array(repeating: .gone, count: 6)),
    ]

    /// The states in which it works, and what it leads to; `InstanceInvalidState` in all others.
    private static func refusing(_ results: [MachineState: MachineState]) -> [Cell] {
        states.map { state in
            guard let state else { return .fails("InstanceNotFound") }
            return results[state].map { .becomes($0) } ?? .fails("InstanceInvalidState")
        }
    }

    @Test(arguments: StateOperation.allCases)
    func everyCellHolds(operation: StateOperation) async throws {
        let row = try #require(Self.table.first { $0.0 == operation }?.1)
        for (state, cell) in zip(Self.states, row) {
            try await TestWorld.with { world in
                try world.image()
                let host = try await world.host("host-a")
                if operation == .liveMigration { _ = try await world.host("host-b") }
                let uuid = newUUID()
                if let state { try await bring(uuid, to: state, host) }
                let failure = try await errorClass { try await run(operation, uuid, host) }
                let name: Comment = "\(operation) in \(state as Any)"
                switch cell {
                case .fails(let expected):
                    #expect(failure == expected, name)
                    try await expect(uuid, is: state, host, name)
                case .becomes(let expected):
                    #expect(failure == nil, name)
                    try await expect(uuid, is: expected, host, name)
                case .gone:
                    #expect(failure == nil, name)
                    #expect(try await host.traces(uuid) == [], name)
                }
            }
        }
    }

    /// Machine, record, get_info and console writer agree.
    private func expect(
        _ uuid: InstanceUUID,
        is state: MachineState?,
        _ host: TestHost,
        _ name: Comment
    ) async throws {
        guard let state else {
            #expect(try await host.traces(uuid) == [], name)
            return
        }
        #expect(try await host.backend.machine(uuid).state == state, name)
        let info = try await host.operations.info(uuid)
        #expect(info.state == state.clientName, name)
        #expect(info.powerState == state.novaPowerState, name)
        #expect(info.task == nil, name)
        #expect(try await host.record(uuid)?.state == state, name)
        #expect(try await host.isCaptured(uuid) == [.running, .paused].contains(state), name)
    }

    private func bring(_ uuid: InstanceUUID, to state: MachineState, _ host: TestHost) async throws {
        try await host.spawn(uuid: uuid, powerOn: state != .off, image: "image")
        switch state {
        case .paused: _ = try await host.operations.pause(uuid, host.context)
        case .saved: _ = try await host.operations.suspend(uuid, host.context)
        case .error:
            try await host.type("crash", on: uuid)
            try await eventually("crash in the record") { try await host.record(uuid)?.state == .error }
        default: break
        }
    }

    private func run(_ operation: StateOperation, _ uuid: InstanceUUID, _ host: TestHost) async throws {
        let operations = host.operations
        switch operation {
        case .spawn: try await host.spawn(uuid: uuid)
        case .powerOn: _ = try await operations.powerOn(uuid, host.context)
        case .powerOffSoft: _ = try await host.powerOff(uuid, seconds: 20, interval: 5)
        case .powerOffHard: _ = try await host.powerOff(uuid)
        case .rebootSoft: _ = try await operations.reboot(uuid, soft: true, host.context)
        case .rebootHard: _ = try await operations.reboot(uuid, soft: false, host.context)
        case .pause: _ = try await operations.pause(uuid, host.context)
        case .unpause: _ = try await operations.unpause(uuid, host.context)
        case .suspend: _ = try await operations.suspend(uuid, host.context)
        case .resume: _ = try await operations.resume(uuid, host.context)
        case .liveMigration:
            _ = try await operations.liveMigrate(uuid, to: "host-b", copyStorage: true, host.context)
        case .snapshot: _ = try await operations.snapshot(uuid, image: "snap", host.context)
        case .destroy: try await host.destroy(uuid)
        }
    }
}
