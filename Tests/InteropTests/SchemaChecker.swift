import JSONCodec
import Support
import TestSupport

/// `Tests/Peers/validate.py`: holds documents against the schemas of the checkout.
struct SchemaChecker: Sendable {
    private let process: LineProcess

    static func run<Result: Sendable>(_ body: @escaping @Sendable (SchemaChecker) async throws -> Result) async throws
        -> Result
    {
        try await PythonPeer.run("validate.py", version: .v18_3_1) { process in
            try await body(SchemaChecker(process: process))
        }
    }

    /// What is wrong with a document; empty when nothing is.
    ///
    /// - Parameter schema: A path below `schemas/`, with a JSON pointer after `#` for a part of it.
    func problems(_ schema: String, _ document: JSONValue) async throws -> [String] {
        try await ask(["schema": .string(schema), "document": document]).problems
    }

    /// The same for a document as text, which may hold what only Python reads.
    func problems(_ schema: String, text: String) async throws -> [String] {
        try await ask(["schema": .string(schema), "text": .string(text)]).problems
    }

    /// The same for text compressed with zlib.
    func problems(_ schema: String, compressed: [UInt8]) async throws -> [String] {
        try await ask(["schema": .string(schema), "zlib": .string(Base64.encode(compressed))]).problems
    }

    /// The same for a configuration file.
    func problems(_ schema: String, file: String) async throws -> [String] {
        try await ask(["schema": .string(schema), "ini": .string(file)]).problems
    }

    /// The paths of all schemas, and what is wrong with the schemas themselves.
    func schemas() async throws -> (names: [String], problems: [String]) {
        let answer = try await ask(["schemas": true])
        return ((answer.fields["schemas"]?.arrayValue ?? []).compactMap(\.stringValue), answer.problems)
    }

    private struct Answer {
        let fields: JSONValue
        var problems: [String] { (fields["problems"]?.arrayValue ?? []).compactMap(\.stringValue) }
    }

    /// One after the other: each test has a checker of its own.
    private func ask(_ command: JSONObject) async throws -> Answer {
        var command = command
        command["id"] = 1
        let line = String(decoding: try JSONWriter.bytes(of: .object(command)), as: UTF8.self)
        let fields = try JSONReader.read(Array(try await process.ask(line).utf8))
        guard fields["problems"] != nil else { throw ConditionNotMet(description: "validate.py answered \(fields)") }
        return Answer(fields: fields)
    }
}
