/// A live migration's progress as text: a bar for terminals, a line now and then for everything else.
package struct MigrationDisplay: Sendable {
    private let name: String
    private let route: String
    private var lastPhase = ""
    private var lastTenth = -1

    package init(name: String, source: String, destination: String) {
        self.name = TextTable.printable(name)
        route = TextTable.printable("\(source) to \(destination)")
    }

    /// One line without a line feed, never longer than `columns`.
    package func bar(_ state: MigrationState, columns: Int) -> String {
        let text = "\(name): \(route) "
        let percent = Self.padded(Int(state.fraction * 100), 3) + " %  \(state.phase)"
        let amount = "  \(Self.amount(state.transferredBytes))"
        let room = min(40, columns - text.count - percent.count - amount.count - 4)
        guard room >= 10 else { return String((text + percent).prefix(max(0, columns - 1))) }
        let filled = Int(Double(room) * state.fraction)
        let arrow = filled < room ? ">" : ""
        let bar = String(repeating: "=", count: filled) + arrow
        return text + "[" + bar + String(repeating: " ", count: room - bar.count) + "] " + percent + amount
    }

    /// A line for a log, or `nil` when there is nothing new to tell: one per phase and ten percent.
    package mutating func line(_ state: MigrationState) -> String? {
        let tenth = Int(state.fraction * 10)
        guard state.phase != lastPhase || tenth > lastTenth else { return nil }
        if state.phase == lastPhase || tenth > lastTenth { lastTenth = tenth }
        lastPhase = state.phase
        return "\(name): \(route), \(state.phase) \(Int(state.fraction * 100)) %"
    }

    private static func padded(_ number: Int, _ width: Int) -> String {
        let text = String(number)
        return String(repeating: " ", count: max(0, width - text.count)) + text
    }

    private static func amount(_ bytes: Double) -> String {
        let mebibytes = (bytes / 1_048_576 * 10).rounded() / 10
        return "\(mebibytes) MiB"
    }
}
