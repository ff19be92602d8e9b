import Foundation
import Testing

/// `make bench` names the section of `docs/performance.md` that says why a goal is missed.
@Suite struct PerformancePageTests {
    @Test func everyMissedGoalHasItsSection() throws {
        let goals = try SourceTree.text("Tests/Benchmarks/suite/goals.py").components(separatedBy: "\n")
        let start = try #require(goals.firstIndex { $0.hasPrefix("SECTIONS = (") })
        let titles = goals[start...].prefix { $0 != ")" }.compactMap { $0.firstMatch(of: /", "(.+)"\),$/)?.1 }
        #expect(titles.count > 8)
        let headings = try SourceTree.text("docs/performance.md").components(separatedBy: "\n")
        for title in titles { #expect(headings.contains("### \(title)"), "no section \(title)") }
    }
}
