import Testing

import enum SimulatedHost.Primitive
import struct SimulatedHost.SimulatedSettings

@testable import enum Configuration.SimulatedOptions

/// The options of the group `simulated` against the host that reads them.
@Suite struct SimulatedOptionsTests {
    @Test(arguments: SimulatedOptions.keys.map(\.definition.option.name))
    func theHostKnowsTheOptionAndSharesItsDefault(name: String) throws {
        let key = try #require(SimulatedOptions.keys.first { $0.definition.option.name == name })
        let text = try #require(key.definition.defaultText)
        var settings = SimulatedSettings()
        guard !text.isEmpty else {
            // Unset: the host is not asked.
            return
        }
        #expect(try settings.set(option: name, text))
        // A delay of zero is remembered as such and waits for nothing.
        if !name.hasPrefix("delay_") { #expect(settings == SimulatedSettings()) }
    }

    @Test func everyPrimitiveHasItsOptions() {
        #expect(SimulatedOptions.primitives == Primitive.allCases.map(\.optionName))
    }

    @Test(arguments: ["always", "often internal", "nth:0 internal", "nth:2 internal before", "nth:2 internal after x"])
    func aFaultRuleOfAnotherFormIsRefused(text: String) {
        let key = SimulatedOptions.faults[0]
        #expect(key.definition.complaint([text]) != nil)
        #expect(key.definition.complaint(["nth:2 internal after, always hang"]) == nil)
    }
}
