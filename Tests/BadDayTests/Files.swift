import DaemonBench
import Foundation
import TestSupport

/// What is on disk.
enum Files {
    /// The names in a directory, sorted; empty when there is none.
    static func names(in directory: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []).sorted()
    }

    /// Files below a directory that hold `text` in their bytes.
    static func holding(_ text: String, below directory: String) -> [String] {
        let needle = Data(text.utf8)
        let paths = FileManager.default.enumerator(atPath: directory)?.compactMap { $0 as? String } ?? []
        return paths.filter { path in
            let url = URL(filePath: directory + "/" + path)
            guard (try? url.resourceValues(forKeys: [.isRegularFileKey]))?.isRegularFile == true,
                let data = try? Data(contentsOf: url, options: .alwaysMapped)
            else { return false }
            return data.range(of: needle) != nil
        }
    }
}

/// What an SQLite query gives, a line per row; the file's owner must have ended.
func query(_ database: String, _ statement: String) async throws -> String {
    let program = """
        import sqlite3, sys
        for row in sqlite3.connect(sys.argv[1]).execute(sys.argv[2]): print(*row)
        """
    return try await runCommand(Checkout.python, ["-c", program, database, statement])
}
