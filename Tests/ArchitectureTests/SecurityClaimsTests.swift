import Foundation
import Testing

/// Holds `docs/security.md` against the tests that it names.
@Suite struct SecurityClaimsTests {
    /// A row of a table, and the tests in its last cell.
    private struct Claim {
        let text: String
        let tests: [(target: String, suite: String, test: String)]
    }

    private static func claims() throws -> [Claim] {
        let rows = try SourceTree.text("docs/security.md").components(separatedBy: "\n").filter { $0.hasPrefix("| ") }
        return rows.filter { $0 != "| Claim | Test |" }.map { row in
            let cells = row.components(separatedBy: " | ")
            let names = (cells.last ?? "").matches(of: /`(\w+)\/(\w+)\.(\w+)`/)
            return Claim(
                text: cells.first ?? row,
                tests: names.map { (String($0.1), String($0.2), String($0.3)) }
            )
        }
    }

    /// The text of a suite, up to the next one in its file; `nil` when the target has none of that name.
    private static func suite(_ name: String, in target: String, _ files: [SourceTree.File]) -> String? {
        for file in files where file.path.hasPrefix("Tests/\(target)/") {
            let start = file.lines.firstIndex { line in
                line.contains("struct \(name) {") || line.contains("class \(name) {")
            }
            guard let start else { continue }
            let end = file.lines[(start + 1)...].firstIndex { $0.hasPrefix("}") } ?? file.lines.endIndex
            // Tests may stand in extensions too.
            let extensions = file.lines.contains { $0.hasPrefix("extension \(name)") }
            return (extensions ? file.lines[start...] : file.lines[start..<end]).joined(separator: "\n")
        }
        return nil
    }

    @Test func everyClaimNamesItsTestAndTheTestIsThere() throws {
        let claims = try Self.claims()
        let files = try SourceTree.swiftFiles("Tests")
        #expect(claims.count > 40)
        for claim in claims {
            let isAccepted = claim.text.hasPrefix("| *accepted*")
            #expect(claim.tests.isEmpty == isAccepted, "no test is named: \(claim.text)")
            for (target, suite, test) in claim.tests {
                let text = Self.suite(suite, in: target, files)
                #expect(text != nil, "there is no \(target)/\(suite)")
                #expect(text?.contains("func \(test)(") ?? true, "there is no \(target)/\(suite).\(test)")
            }
        }
    }
}
