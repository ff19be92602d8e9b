import HostBackend
import HostConformance
import JSONCodec
import Subprocess
import Support
import SystemPackage

/// Requests to a one-shot plugin: a process for each (plugin protocol, section 11).
struct OneShotCaller: PluginCaller {
    private static let outputLimit = 4 << 20

    let command: [String]
    let environment: [String: String]
    /// The members that every request has.
    let common: JSONObject
    let hello: PluginHello

    /// What a run of the program brought.
    struct Run: Sendable {
        let status: PluginProcess.End
        let output: [UInt8]
        let errors: String
    }

    func call(_ method: String, _ params: JSONObject, deadline: Duration) async throws -> JSONObject {
        let run = try await run(method, params, deadline: deadline)
        return try Self.answer(run, to: method).get()
    }

    /// There is no progress (section 11).
    func call(
        _ method: String,
        _ params: JSONObject,
        deadline: Duration,
        progress: @escaping @Sendable (JSONObject) async throws -> Void
    ) async throws -> JSONObject {
        try await call(method, params, deadline: deadline)
    }

    /// The whole exchange, whatever comes of it. Cancelling the task, and the deadline with 5 s of grace, end the program
    /// by SIGTERM, and 2 s later by SIGKILL.
    func run(_ method: String, _ params: JSONObject, deadline: Duration) async throws -> Run {
        let (seconds, attoseconds) = deadline.components
        var document = common
        document["params"] = .object(params)
        document["deadline_ms"] = .int(seconds * 1000 + attoseconds / 1_000_000_000_000_000)
        document["idempotency_key"] = .string(UniqueID.make())
        let text = try JSONWriter.bytes(of: .object(document), .compact)
        return try await run([method], input: text, limit: deadline + .seconds(5))
    }

    func run(_ arguments: [String], input: [UInt8], limit: Duration) async throws -> Run {
        let (command, environment) = (command, environment)
        do {
            return try await withDeadline(limit) {
                try await Self.run(command + arguments, environment, input, grace: .seconds(2))
            }
        } catch is DeadlineExceeded {
            throw CheckFailure(
                expected: "\(arguments.joined(separator: " ")) ends by its deadline",
                seen: "it ran for \(limit) and was ended"
            )
        }
    }

    /// Runs a request and ends it by SIGKILL after a while, if it has not ended before.
    func kill(_ method: String, _ params: JSONObject, after delay: Duration) async throws {
        var document = common
        document["params"] = .object(params)
        let text = try JSONWriter.bytes(of: .object(document), .compact)
        await withTaskGroup(of: Void.self) { group in
            let (command, environment) = (command + [method], environment)
            group.addTask { _ = try? await Self.run(command, environment, text, grace: nil) }
            try? await Task.sleep(for: delay)
            group.cancelAll()
        }
    }

    /// - Parameter grace: between SIGTERM and SIGKILL when the task is cancelled; `nil` = SIGKILL at once.
    private static func run(
        _ command: [String],
        _ environment: [String: String],
        _ input: [UInt8],
        grace: Duration?
    ) async throws -> Run {
        var options = PlatformOptions()
        options.processGroupID = 0
        options.teardownSequence = grace.map { [.gracefulShutDown(allowedDurationToNextStep: $0)] } ?? []
        do {
            let outcome = try await Subprocess.run(
                .program(of: command),
                arguments: Arguments(Array(command.dropFirst())),
                environment: .only(environment),
                platformOptions: options,
                input: .array(input),
                output: .bytes(limit: outputLimit),
                error: .bytes(limit: outputLimit)
            )
            return Run(
                status: PluginProcess.End(outcome.terminationStatus),
                output: outcome.standardOutput,
                errors: String(decoding: outcome.standardError, as: UTF8.self)
            )
        } catch let error as SubprocessError {
            try Task.checkCancellation()
            throw CheckFailure(expected: "\(command.joined(separator: " ")) runs", seen: "\(error)")
        }
    }

    /// The answer in what a run brought.
    ///
    /// - Throws: ``CheckFailure`` when there is none.
    static func answer(_ run: Run, to method: String) throws -> WireAnswer {
        let said = run.errors.isEmpty ? "" : "; on standard error: \(String(run.errors.suffix(300)).debugDescription)"
        let expected = "\(method) writes one document and exits with status 0"
        guard run.status == .exited(0) else { throw CheckFailure(expected: expected, seen: "\(run.status)\(said)") }
        guard let document = try? JSONReader.read(run.output).objectValue else {
            let seen = WireDecoder.quote(run.output.prefix(200))
            throw CheckFailure(expected: expected, seen: "it wrote \(seen)\(said)")
        }
        if let error = document["error"], !error.isNull {
            let (error, violation) = WireError.read(error)
            if let violation { throw CheckFailure(expected: "an error as in section 5", seen: violation.text) }
            return .error(error)
        }
        guard let result = document["result"]?.objectValue else {
            throw CheckFailure(expected: "a document with result or error", seen: WireText.short(document))
        }
        return .result(result)
    }

    /// One-shot plugins have none.
    func events() -> AsyncStream<MachineEvent> { AsyncStream { $0.finish() } }

    func stream(_ id: Int64) -> any ConsoleStream { NoStream() }
}

/// What a one-shot plugin cannot have.
private struct NoStream: ConsoleStream {
    func next() async throws -> [UInt8]? { nil }
    func close() async {}
}
