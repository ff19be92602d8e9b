import Foundation

/// The checkout, as text.
struct SourceTree {
    struct File {
        /// Relative to the checkout, such as `Sources/Console/ConsoleService.swift`.
        let path: String
        let lines: [String]

        /// The target, for files below `Sources`.
        var target: String {
            path.split(separator: "/").dropFirst().first.map(String.init) ?? ""
        }

        /// Code without comment lines.
        var code: [(number: Int, text: String)] {
            lines.enumerated().filter { !$0.element.trimmingCharacters(in: .whitespaces).hasPrefix("//") }
                .map { ($0.offset + 1, $0.element) }
        }

        /// The modules that the file imports. What is indented is the text of other programs.
        var imports: [String] {
            lines.filter { !$0.hasPrefix(" ") }.compactMap { line in
                var words = line.split(separator: " ").map(String.init)
                while let first = words.first, first != "import" {
                    guard ["package", "public", "internal", "private", "@testable", "@preconcurrency"].contains(first)
                    else { return nil }
                    words.removeFirst()
                }
                guard words.count >= 2 else { return nil }
                let name =
                    words.count >= 3 && ["struct", "class", "enum", "func"].contains(words[1]) ? words[2] : words[1]
                return name.split(separator: ".").first.map(String.init)
            }
        }
    }

    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    static func text(_ path: String) throws -> String {
        try String(contentsOf: root.appending(path: path), encoding: .utf8)
    }

    /// The Swift files below a directory of the checkout.
    static func swiftFiles(_ directory: String) throws -> [File] {
        let base = root.appending(path: directory)
        let paths = try FileManager.default.subpathsOfDirectory(atPath: base.path(percentEncoded: false))
        return try paths.filter { $0.hasSuffix(".swift") }.sorted().map { path in
            let text = try text("\(directory)/\(path)")
            return File(path: "\(directory)/\(path)", lines: text.components(separatedBy: "\n"))
        }
    }
}
