import Foundation
import Testing

/// Holds the sources against the table in `docs/architecture.md`.
@Suite struct ImportTableTests {
    private struct Row {
        let own: Set<String>
        let others: Set<String>
    }

    private static let openToAll: Set<String> = ["Swift", "Glibc", "Synchronization"]

    private static func table() throws -> [String: Row] {
        var rows: [String: Row] = [:]
        for line in try SourceTree.text("docs/architecture.md").split(separator: "\n") where line.hasPrefix("| ") {
            let cells = line.split(separator: "|", omittingEmptySubsequences: false).map {
                $0.trimmingCharacters(in: .whitespaces)
            }
            guard cells.count == 6, cells[1] != "Target" else { continue }
            rows[cells[1]] = Row(own: names(cells[3]), others: names(cells[4]))
        }
        return rows
    }

    private static func names(_ cell: String) -> Set<String> {
        Set(cell.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) })
    }

    @Test func everyImportStandsInTheTable() throws {
        let table = try Self.table()
        #expect(table.count >= 20)
        for file in try SourceTree.swiftFiles("Sources") {
            let row = try #require(table[file.target], "\(file.target) is not in docs/architecture.md")
            for module in file.imports where !Self.openToAll.contains(module) {
                let allowed =
                    table[module] != nil
                    ? row.own.contains(module) || row.own.contains("*") : row.others.contains(module)
                #expect(allowed, "\(file.path) imports \(module)")
            }
        }
    }

    @Test func everyTargetOfThePackageStandsInTheTable() throws {
        let table = try Self.table()
        let manifest = try SourceTree.text("Package.swift")
        for target in Set(try SourceTree.swiftFiles("Sources").map(\.target)) {
            #expect(table[target] != nil, "\(target) is not in docs/architecture.md")
            #expect(manifest.contains("\"\(target)\""), "\(target) is not in Package.swift")
        }
    }

    @Test func eachCLibraryHasOneImporter() throws {
        for library in ["CRabbitMQ", "CJansson", "CMicroHTTPD", "CZlib", "CCurl", "CCrypto"] {
            let importers = Set(
                try SourceTree.swiftFiles("Sources").filter { $0.imports.contains(library) }.map(\.target)
            )
            #expect(importers.count == 1, "\(library) is imported by \(importers.sorted())")
        }
    }
}
