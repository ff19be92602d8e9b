import HostBackend
import HostConformance
import Support

extension WireSession {
    /// Sends a request without waiting for its answer.
    ///
    /// - Parameter extra: members that are added to the message or replace its own.
    /// - Returns: its id.
    func send(
        _ method: String,
        _ params: JSONObject = [:],
        deadline: Duration = patience,
        key: String? = nil,
        extra: JSONObject = [:]
    ) async throws -> Int64 {
        let id = look { state -> Int64 in
            state.lastID += 1
            state.methods[state.lastID] = method
            return state.lastID
        }
        let (seconds, attoseconds) = deadline.components
        var message: JSONObject = [
            "kind": "request", "id": .int(id), "method": .string(method), "params": .object(params),
            "deadline_ms": .int(seconds * 1000 + attoseconds / 1_000_000_000_000_000),
            "idempotency_key": .string(key ?? UniqueID.make()),
        ]
        for (name, value) in extra { message[name] = value }
        try await send(message)
        return id
    }

    /// Waits for the answer to a request.
    func answer(to id: Int64, within limit: Duration = .seconds(90)) async throws -> WireAnswer {
        let method = look { $0.methods[id] ?? "a request" }
        return try await until("an answer to \(method)", within: limit) { $0.answers[id] }
    }

    func request(_ method: String, _ params: JSONObject = [:], deadline: Duration = .seconds(60)) async throws
        -> WireAnswer
    {
        try await answer(to: send(method, params, deadline: deadline), within: deadline + .seconds(30))
    }

    /// The result of a request that has to succeed.
    func result(_ method: String, _ params: JSONObject = [:]) async throws -> JSONObject {
        let answer = try await request(method, params)
        guard case .result(let result) = answer else {
            throw CheckFailure(expected: "\(method) succeeds", seen: answer.summary)
        }
        return result
    }

    /// Sends a request that has to fail with one of these codes.
    @discardableResult
    func error(_ codes: [BackendError.Code], _ method: String, _ params: JSONObject, what: String? = nil) async throws
        -> WireError
    {
        let answer = try await request(method, params)
        let expected = "\(what ?? method) answers \(codes.map(\.rawValue).joined(separator: " or "))"
        guard case .error(let error) = answer, codes.contains(where: { $0.rawValue == error.code }) else {
            throw CheckFailure(expected: expected, seen: answer.summary)
        }
        return error
    }

    /// Sends a ping and waits for its pong.
    func ping(_ id: Int64, within limit: Duration = .seconds(10)) async throws {
        try await send(["kind": "ping", "id": .int(id)])
        try await pong(id, within: limit)
    }

    func pong(_ id: Int64, within limit: Duration = .seconds(10)) async throws {
        _ = try await until("a pong to ping \(id)", within: limit) { $0.pongs.contains(id) ? true : nil }
    }

    /// Waits for the end of the plugin, which it has to come to by itself.
    func untilEnd(_ why: String) async throws -> PluginProcess.End? {
        let limit = exitLimit
        guard let process else {
            _ = try await until("the end of the connection \(why)", within: limit) { $0.hasEnded ? true : nil }
            await end()
            return nil
        }
        let deadline = ContinuousClock.now + limit
        while process.ending == nil {
            guard ContinuousClock.now < deadline else {
                throw CheckFailure(expected: "the plugin exits \(why)", seen: "it runs on for \(limit)")
            }
            try await Task.sleep(for: .milliseconds(5))
        }
        return await end()
    }
}
