import HostBackend
import Testing

@testable import VMOps

/// Every cell of the table in VM operations, section 5.2.
@Suite struct TransitionTableTests {
    private static let columns: [MachineState?] = [nil, .off, .running, .paused, .saved, .error]

    private static let table: [(StateOperation, [Transition])] = [
        (.spawn, [.proceed, .exists, .exists, .exists, .exists, .exists]),
        (
            .powerOn,
            [.notFound, .set(.running), .unchanged, .set(.running), .set(.running), .set(.running)]
        ),
        (.powerOffSoft, [.notFound, .unchanged, .softOff, .set(.off), .set(.off), .set(.off)]),
        (.powerOffHard, [.notFound, .unchanged, .set(.off), .set(.off), .set(.off), .set(.off)]),
        (.rebootSoft, [.notFound, .set(.running), .softReboot, .powerCycle, .powerCycle, .powerCycle]),
        (.rebootHard, [.notFound, .set(.running), .reset, .powerCycle, .powerCycle, .powerCycle]),
        (.pause, [.notFound, .invalidState, .set(.paused), .unchanged, .invalidState, .invalidState]),
        (.unpause, [.notFound, .invalidState, .unchanged, .set(.running), .invalidState, .invalidState]),
        (.suspend, [.notFound, .invalidState, .set(.saved), .set(.saved), .unchanged, .invalidState]),
        (.resume, [.notFound, .set(.running), .unchanged, .set(.running), .set(.running), .invalidState]),
        (.liveMigration, [.notFound, .invalidState, .proceed, .proceed, .invalidState, .invalidState]),
        (.snapshot, [.notFound, .proceed, .proceed, .proceed, .proceed, .invalidState]),
        (.destroy, [.unchanged, .proceed, .proceed, .proceed, .proceed, .proceed]),
    ]

    @Test(arguments: StateOperation.allCases)
    func everyStateHasItsTransition(operation: StateOperation) throws {
        let row = try #require(Self.table.first { $0.0 == operation })
        for (state, expected) in zip(Self.columns, row.1) {
            #expect(TransitionTable.transition(operation, in: state) == expected, "\(operation) in \(state as Any)")
        }
    }
}
