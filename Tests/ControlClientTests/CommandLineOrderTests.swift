import Testing

@testable import ControlClient

@Suite struct CommandLineOrderTests {
    private func ordered(_ line: String) -> String {
        CommandLineOrder.commandFirst(
            line.split(separator: " ").map(String.init),
            commands: ["hosts", "power-off"]
        ).joined(separator: " ")
    }

    @Test(arguments: [
        ("hosts", "hosts"),
        ("--url u --json hosts", "hosts --url u --json"),
        ("--host=h hosts --json", "hosts --host=h --json"),
        // Before the command it is the answer's limit, behind it whatever the command says.
        ("--timeout 5 power-off x --timeout 30", "power-off --answer-timeout 5 x --timeout 30"),
        ("--timeout=5 hosts", "hosts --answer-timeout=5"),
        ("--help", "--help"),
        ("--url u --help", "--help"),
        ("--url u nonsense", "nonsense"),
        ("--nonsense hosts", "--nonsense hosts"),
        ("--url", "--url"),
        ("--url u", ""),
    ])
    func optionsMayStandBeforeTheCommand(_ given: String, _ expected: String) {
        #expect(ordered(given) == expected)
    }
}
