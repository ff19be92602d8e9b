import NovaObjects
import Support
import Testing

@testable import NovaCompute

/// What is done about instances of which database and host say different things.
@Suite struct ReconciliationTests {
    private static func decide(
        _ vmState: String,
        _ taskState: String?,
        power: Int64 = 1,
        _ presence: Reconciliation.Presence
    ) throws -> Reconciliation {
        let data: JSONObject = [
            "uuid": "6d8a4f0e-3b1c-4f52-9e7d-2a6c5b4d3e1f", "vm_state": .string(vmState), "power_state": .int(power),
            "task_state": taskState.map(JSONValue.string) ?? .null,
        ]
        return Reconciliation(try NovaInstance(NovaObject("Instance", ObjectVersion(2, 7), data)), presence)
    }

    @Test func whatNobodyCarriesOutIsCarriedOutOrTakenBack() throws {
        for (vmState, task, power, action) in [
            ("active", "powering-off", 1, .request(.stop)),
            ("stopped", "powering-on", 4, .request(.start)),
            ("active", "deleting", 1, .request(.terminate)),
            ("error", "deleting", 4, .request(.terminate)),
            ("deleted", nil, 1, .request(.terminate)),
            ("paused", "unpausing", 3, .request(.unpause)),
            ("active", "rebooting", 4, .request(.rebootHard)),
            ("active", "rebooting_hard", 1, .save(vmState: .active, powerState: 1)),
            ("active", "pausing", 3, .save(vmState: .paused, powerState: 3)),
            ("active", "suspending", 7, .save(vmState: .suspended, powerState: 7)),
            ("building", "spawning", 1, .save(vmState: .error, powerState: 1)),
            ("active", "rebuild_spawning", 1, .save(vmState: .error, powerState: 1)),
            ("active", "migrating", 1, .save(vmState: nil, powerState: 1)),
            ("error", "powering-off", 1, .save(vmState: nil, powerState: 1)),
            ("soft-delete", "restoring", 1, .nothing),
        ] as [(String, String?, Int, Reconciliation.Action)] {
            let decision = try Self.decide(vmState, task, .resting(powerState: power))
            #expect(decision.atStart == action, "\(vmState) \(task ?? "")")
        }
    }

    @Test func anInstanceThatIsNotHereIsAtLeastBroughtToRest() throws {
        #expect(try Self.decide("active", "powering-off", .absent).atStart == .save(vmState: nil, powerState: nil))
        #expect(try Self.decide("building", nil, .absent).atStart == .save(vmState: .error, powerState: nil))
        #expect(try Self.decide("active", "deleting", .absent).atStart == .request(.terminate))
        #expect(try Self.decide("active", nil, .absent).atStart == .nothing)
        #expect(try Self.decide("error", nil, .absent).atStart == .takeBack)
    }

    @Test func theDatabaseHasTheSayAboutWhatIsToRun() throws {
        for (vmState, power, actual, action) in [
            ("active", 1, 1, .nothing),
            ("active", 1, 4, .save(vmState: .stopped, powerState: 4)),
            ("paused", 3, 6, .save(vmState: .stopped, powerState: 6)),
            ("active", 1, 3, .save(vmState: nil, powerState: 3)),
            ("stopped", 4, 1, .powerOff),
            ("suspended", 7, 4, .save(vmState: nil, powerState: 4)),
        ] as [(String, Int64, Int, Reconciliation.Action)] {
            let decision = try Self.decide(vmState, nil, power: power, .resting(powerState: actual))
            #expect(decision.atRest == action, "\(vmState) \(actual)")
        }
    }

    @Test func whatIsBusyIsLeftAlone() throws {
        let decision = try Self.decide("active", "powering-off", .busy)
        #expect(decision.atStart == .nothing)
        #expect(try Self.decide("active", nil, .busy).atRest == .nothing)
        #expect(try Self.decide("active", "powering-off", .resting(powerState: 4)).atRest == .nothing)
    }
}
