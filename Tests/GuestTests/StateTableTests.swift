import DaemonBench
import Support
import TestSupport
import Testing

/// Every row of the table of states in docs/protocol.md, with a real machine.
@Suite(.enabled(if: GuestBench.isPossible, Comment(rawValue: GuestBench.missing)), .timeLimit(.minutes(10)))
struct StateTableTests {
    private struct Row {
        let method: String
        var arguments: JSONObject = [:]
        /// What becomes of a machine that is off, running, paused and suspended; `Invalid` = refused.
        let outcomes: [String]
    }

    private static let states = ["off", "running", "paused", "suspended"]
    private static let rows = [
        Row(method: "power_on", outcomes: ["running", "running", "running", "running"]),
        Row(method: "power_off", arguments: ["timeout": 0], outcomes: ["off", "off", "off", "off"]),
        Row(method: "power_off", arguments: ["timeout": 20], outcomes: ["off", "off", "off", "off"]),
        Row(
            method: "reboot",
            arguments: ["reboot_type": "SOFT"],
            outcomes: ["running", "running", "running", "running"]
        ),
        Row(
            method: "reboot",
            arguments: ["reboot_type": "HARD"],
            outcomes: ["running", "running", "running", "running"]
        ),
        Row(method: "pause", outcomes: ["Invalid", "paused", "paused", "Invalid"]),
        Row(method: "unpause", outcomes: ["Invalid", "running", "running", "Invalid"]),
        Row(method: "suspend", outcomes: ["Invalid", "suspended", "suspended", "suspended"]),
        Row(method: "resume", outcomes: ["running", "running", "running", "running"]),
        Row(method: "snapshot", outcomes: ["off", "running", "paused", "suspended"]),
    ]

    @Test(arguments: Array(states.enumerated()).map(\.offset))
    func eachOperationDoesWhatTheTableSays(_ column: Int) async throws {
        try await GuestBench.run { guests in
            let instance = TestInstance("table")
            _ = try await guests.spawn(instance)
            for (number, row) in Self.rows.enumerated() {
                try await bring(instance, to: Self.states[column], guests)
                var arguments = row.arguments
                if row.method == "snapshot" { arguments["image_id"] = .string("snapshot-\(column)-\(number)") }
                let failure = try await guests.failure(row.method, instance, arguments)
                let state = try await guests.bench.state(instance)
                let what = "\(row.method) \(row.arguments) in \(Self.states[column])"
                if row.outcomes[column] == "Invalid" {
                    #expect(failure == "InstanceInvalidState", "\(what)")
                    #expect(state == Self.states[column], "\(what)")
                } else {
                    #expect(failure == nil, "\(what)")
                    #expect(state == row.outcomes[column], "\(what)")
                }
            }
            #expect(try await guests.bench.failure("spawn", ["instance": instance.description]) == "InstanceExists")
            try await guests.perform("destroy", instance)
            #expect(try await guests.failure("destroy", instance) == nil)
            #expect(try await guests.failure("power_on", instance) == "InstanceNotFound")
        }
    }

    private func bring(_ instance: TestInstance, to state: String, _ guests: GuestBench) async throws {
        guard try await guests.bench.state(instance) != state else { return }
        if state == "off" {
            try await guests.perform("power_off", instance, ["timeout": 0])
            return
        }
        try await guests.perform("power_on", instance)
        if state == "paused" { try await guests.perform("pause", instance) }
        if state == "suspended" { try await guests.perform("suspend", instance) }
    }
}
