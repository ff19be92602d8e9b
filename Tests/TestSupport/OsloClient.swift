import JSONCodec
package import Support
import Synchronization

/// `Tests/Peers/rpc_client.py`: a real oslo.messaging client, which runs commands at the same time.
package final class OsloClient: Sendable {
    /// What a command ended with.
    package struct Answer: Sendable {
        /// The answer's members as the client wrote them.
        package let fields: JSONObject

        /// What a call returned; absent when it raised, null when it returned nothing.
        package var result: JSONValue? { fields["result"] }
        /// The class name of the exception that the client raised.
        package var raised: String? { fields["raised"]?.stringValue }
        /// The text of the exception.
        package var text: String { fields["text"]?.stringValue ?? "" }
        /// How long the command took.
        package var seconds: Double { fields["seconds"]?.doubleValue ?? 0 }
        /// Class and value of what arrived as a `RemoteError`.
        package var remoteType: String? { fields["remote"]?["type"]?.stringValue }
        package var remoteValue: String? { fields["remote"]?["value"]?.stringValue }
    }

    private struct State {
        var next: Int64 = 0
        var waiting: [Int64: CheckedContinuation<Answer, any Error>] = [:]
        var ended: (any Error)?
    }

    private struct Ended: Error {}

    private let process: LineProcess
    private let state = Mutex(State())

    private init(_ process: LineProcess) { self.process = process }

    /// Runs a client of `version` against `url` while `body` runs.
    package static func run<Result: Sendable>(
        _ version: OsloVersion,
        url: String,
        options: [String] = [],
        environment: [String: String?] = [:],
        _ body: @escaping @Sendable (OsloClient) async throws -> Result
    ) async throws -> Result {
        try await PythonPeer.run("rpc_client.py", ["--url", url] + options, version: version, environment: environment)
        {
            process in
            _ = try await process.readLine(timeout: .seconds(60))
            let client = OsloClient(process)
            return try await withThrowingTaskGroup(of: Result?.self) { group in
                group.addTask {
                    await client.read()
                    return nil
                }
                group.addTask { try await body(client) }
                defer { group.cancelAll() }
                while let value = try await group.next() { if let value { return value } }
                throw Ended()
            }
        }
    }

    /// What the library has logged.
    var standardError: String { process.standardError }

    private func read() async {
        do {
            while true {
                let line = try await process.readLine(timeout: .seconds(300))
                guard case .object(let fields) = try JSONReader.read([UInt8](line.utf8)),
                    let id = fields["id"]?.intValue
                else { continue }
                state.withLock { $0.waiting.removeValue(forKey: id) }?.resume(returning: Answer(fields: fields))
            }
        } catch {
            let waiting = state.withLock { state in
                state.ended = error
                defer { state.waiting.removeAll() }
                return state.waiting.values
            }
            for waiter in waiting { waiter.resume(throwing: error) }
        }
    }

    /// Sends a command and waits for its answer.
    package func ask(_ command: JSONObject) async throws -> Answer {
        let id = state.withLock { state in
            state.next += 1
            return state.next
        }
        var command = command
        command["id"] = .int(id)
        let line = String(decoding: try JSONWriter.bytes(of: .object(command)), as: UTF8.self)
        return try await withCheckedThrowingContinuation { continuation in
            let ended = state.withLock { state in
                if state.ended == nil { state.waiting[id] = continuation }
                return state.ended
            }
            if let ended { return continuation.resume(throwing: ended) }
            // Ends when the line is written or the process is gone, at the end of the test at the latest.
            Task {
                do {
                    try await process.send(line)
                } catch {
                    state.withLock { $0.waiting.removeValue(forKey: id) }?.resume(throwing: error)
                }
            }
        }
    }

    /// A call to one host, with a time limit that only a broken server exceeds.
    package func call(
        _ method: String,
        _ args: JSONObject = [:],
        host: String? = "host-a",
        _ more: JSONObject = [:]
    ) async throws -> Answer {
        try await send("call", method, args, host, ["timeout": 30], more)
    }

    /// A cast to one host, or to the topic.
    ///
    /// - Throws: ``CastFailed`` when the client raised an exception.
    package func cast(_ method: String, _ args: JSONObject = [:], host: String? = "host-a", _ more: JSONObject = [:])
        async throws
    {
        let answer = try await send("cast", method, args, host, [:], more)
        if let raised = answer.raised { throw CastFailed(description: "\(raised): \(answer.text)") }
    }

    /// A cast to all hosts.
    package func fanout(_ method: String, _ args: JSONObject = [:], _ more: JSONObject = [:]) async throws {
        _ = try await send("fanout", method, args, nil, [:], more)
    }

    private func send(
        _ operation: String,
        _ method: String,
        _ args: JSONObject,
        _ host: String?,
        _ defaults: JSONObject,
        _ more: JSONObject
    ) async throws -> Answer {
        var command = defaults
        command["op"] = .string(operation)
        command["method"] = .string(method)
        command["args"] = .object(args)
        command["server"] = host.map(JSONValue.string)
        for (key, value) in more { command[key] = value }
        return try await ask(command)
    }

    /// A cast that could not be sent.
    package struct CastFailed: Error, CustomStringConvertible {
        package let description: String

        package init(description: String) { self.description = description }
    }
}
