import HostBackend
import Testing

@testable import PluginHost

@Suite struct SupervisionTests {
    private let rules = PluginRestarts()

    @Test func pausesDoubleUpToTheLongest() {
        var supervision = PluginSupervision(PluginRestarts(failures: 100))
        var pauses: [Duration] = []
        for second in 0..<8 {
            guard case .restart(let pause) = supervision.event(.failed(at: .seconds(second))) else { return }
            pauses.append(pause)
        }
        #expect(pauses == [0.5, 1, 2, 4, 8, 16, 30, 30].map { .seconds($0) })
    }

    @Test func aMinuteOfHealthForgivesEverything() {
        var supervision = PluginSupervision(rules)
        for second in 0..<5 { _ = supervision.event(.failed(at: .seconds(second))) }
        _ = supervision.event(.started(at: .seconds(10)))
        #expect(supervision.event(.failed(at: .seconds(69))) != .restart(after: rules.firstPause))
        _ = supervision.event(.started(at: .seconds(100)))
        #expect(supervision.event(.failed(at: .seconds(160))) == .restart(after: rules.firstPause))
    }

    @Test func tenFailuresInTenMinutesDegradeIt() {
        var supervision = PluginSupervision(rules)
        for number in 0..<9 {
            _ = supervision.event(.failed(at: .seconds(number * 30)))
            #expect(!supervision.isDegraded)
        }
        #expect(supervision.event(.failed(at: .seconds(300))) == .restart(after: rules.degradedPause))
        #expect(supervision.isDegraded)
        _ = supervision.event(.started(at: .seconds(400)))
        #expect(supervision.event(.failed(at: .seconds(470))) == .restart(after: rules.firstPause))
        #expect(!supervision.isDegraded)
    }

    @Test func failuresThatAreFarApartDoNot() {
        var supervision = PluginSupervision(rules)
        for number in 0..<30 { _ = supervision.event(.failed(at: .seconds(number * 70))) }
        #expect(!supervision.isDegraded)
    }
}

@Suite struct InventoryTests {
    private func uuid(_ number: Int) throws -> InstanceUUID {
        try #require(InstanceUUID("00000000-0000-0000-0000-00000000000\(number)"))
    }

    private func entry(_ number: Int, _ state: MachineState, _ incarnation: UInt64 = 1) throws -> MachineSummary {
        MachineSummary(name: "m\(number)", uuid: try uuid(number), state: state, incarnation: incarnation)
    }

    @Test func whatChangedBetweenTwoInventoriesBecomesEvents() throws {
        var inventory = PluginInventory()
        let first = [
            try entry(1, .running), try entry(2, .off), try entry(3, .paused), try entry(4, .saved),
            try entry(5, .running), try entry(6, .running), try entry(7, .running),
        ]
        #expect(inventory.listed(first, tellsAll: false) == [])
        let second = [
            try entry(1, .off), try entry(2, .running), try entry(3, .running), try entry(4, .running),
            try entry(5, .error), try entry(6, .running, 2), MachineSummary(name: "foreign", uuid: nil, state: .off),
        ]
        inventory.begin()
        let kinds = inventory.listed(second, tellsAll: false).map(\.kind)
        #expect(kinds == [.stopped(.guest), .started, .resumed, .resumed, .crashed, .started, .removed])
        inventory.begin()
        #expect(inventory.listed(second, tellsAll: false) == [])
    }

    @Test func aFirstInventoryThatComesLateTellsAll() throws {
        var inventory = PluginInventory()
        let changes = inventory.listed([try entry(1, .running), try entry(2, .off)], tellsAll: true)
        #expect(changes.map(\.kind) == [.started, .stopped(.guest)])
    }

    @Test func whatWasHeardDuringAnInventoryIsNewer() throws {
        var inventory = PluginInventory()
        _ = inventory.listed([try entry(1, .running), try entry(2, .running)], tellsAll: false)
        inventory.begin()
        inventory.happened(try uuid(1), 1, .stopped(.guest))
        inventory.removed(try uuid(2))
        #expect(inventory.listed([try entry(1, .running), try entry(2, .running)], tellsAll: false) == [])
        inventory.begin()
        #expect(inventory.listed([try entry(1, .off)], tellsAll: false) == [])
    }

    @Test func ofMoreMachinesThanThereCanBeNothingIsNoted() throws {
        var inventory = PluginInventory()
        inventory.begin()
        func uuid(_ number: Int) throws -> InstanceUUID {
            let digits = String(number, radix: 16)
            let text = "00000000-0000-4000-8000-" + String(repeating: "0", count: 12 - digits.count) + digits
            return try #require(InstanceUUID(text))
        }
        for number in 0..<PluginInventory.limit + 10 { inventory.happened(try uuid(number), 1, .started) }
        #expect(inventory.machines.count == PluginInventory.limit)
        // What is known goes on being followed.
        let known = try uuid(7)
        inventory.happened(known, 1, .paused)
        #expect(inventory.machines[known]?.state == .paused)
        inventory.happened(known, 1, .removed)
        #expect(inventory.machines[known] == nil)
    }

    @Test func eventsOfAnOlderDefinitionChangeNothing() throws {
        var inventory = PluginInventory()
        _ = inventory.listed([try entry(1, .running, 5)], tellsAll: false)
        inventory.happened(try uuid(1), 4, .removed)
        inventory.begin()
        #expect(inventory.listed([try entry(1, .running, 5)], tellsAll: false) == [])
    }
}
