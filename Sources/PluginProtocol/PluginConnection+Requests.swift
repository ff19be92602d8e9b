import HostBackend
package import Support
import Synchronization

/// Who waits for an answer.
struct PluginWaiter {
    var continuation: CheckedContinuation<Result<JSONObject, PluginError>, Never>?
    /// Came before anybody waited.
    var early: Result<JSONObject, PluginError>?
    let progress: AsyncStream<JSONObject>.Continuation?
    /// The answer opens a console stream.
    let opensStream: Bool
}

extension PluginConnection {
    /// Makes a request and waits for its answer.
    ///
    /// Cancelling the calling task sends `cancel`; the answer is awaited all the same, and may be a result.
    ///
    /// - Parameters:
    ///   - deadline: `nil` = the plugin may take as long as it wants.
    ///   - key: the same for each repetition of a request; only for what changes something.
    ///   - progress: gets the members of progress messages; finished with the answer.
    /// - Throws: ``PluginError/Code/refused`` with the plugin's fault, ``PluginError/Code/overdue``,
    ///   ``PluginError/Code/cancelled``, ``PluginError/Code/closed`` and what else ends a connection.
    package func request(
        _ method: String,
        _ params: JSONObject = [:],
        deadline: Duration? = nil,
        key: String? = nil,
        progress: AsyncStream<JSONObject>.Continuation? = nil
    ) async throws(PluginError) -> JSONObject {
        try await exchange(method, params, deadline: deadline, key: key, progress: progress, opensStream: false)
    }

    package func request(
        _ method: PluginMethod,
        _ params: JSONObject = [:],
        deadline: Duration? = nil,
        key: String? = nil,
        progress: AsyncStream<JSONObject>.Continuation? = nil
    ) async throws(PluginError) -> JSONObject {
        try await request(method.rawValue, params, deadline: deadline, key: key, progress: progress)
    }

    func exchange(
        _ method: String,
        _ params: JSONObject,
        deadline: Duration?,
        key: String?,
        progress: AsyncStream<JSONObject>.Continuation?,
        opensStream: Bool
    ) async throws(PluginError) -> JSONObject {
        defer { progress?.finish() }
        let id = state.withLock { $0.requests.makeID() }
        let request = PluginRequest(
            id: id,
            method: method,
            params: params,
            deadline: deadline.map { max(1, Int($0 / .milliseconds(1))) },
            idempotencyKey: key
        )
        // What does not fit into a frame would end the connection for everybody.
        let size = (try? PluginFrame.bytes(of: WorkerMessage.request(request).json).count) ?? .max
        let limit = hello.maximumFrame
        guard size <= limit + 4 else {
            throw PluginError(
                PluginFault(
                    .invalidArgument,
                    "\(method) does not fit into a frame of \(limit) bytes",
                    isRetryable: false
                )
            )
        }
        let waiter = PluginWaiter(progress: progress, opensStream: opensStream)
        let answer = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                take(request, waiter, deadline, continuation)
            }
        } onCancel: {
            cancel(id)
        }
        state.withLock { $0.requests.forget(id) }
        return try answer.get()
    }

    private func take(
        _ request: PluginRequest,
        _ waiter: PluginWaiter,
        _ deadline: Duration?,
        _ continuation: CheckedContinuation<Result<JSONObject, PluginError>, Never>
    ) {
        let id = request.id
        let (refusal, isNext) = state.withLock { state -> (PluginError?, Bool) in
            if let error = state.error { return (PluginError(.closed, error.message), false) }
            if state.requests.wasCancelled(id) {
                return (PluginError(.cancelled, "\(request.method) was given up before it was sent"), false)
            }
            var waiter = waiter
            waiter.continuation = continuation
            state.waiters[id] = waiter
            return (nil, state.requests.add(request, due: deadline.map { .now + $0 }))
        }
        if let refusal { return continuation.resume(returning: .failure(refusal)) }
        if isNext { transmit(request) }
    }

    private func transmit(_ request: PluginRequest) {
        do throws(PluginError) {
            try send(.request(request))
        } catch {
            // The plugin does not read, or has gone: either way nothing is to be had from it.
            fail(PluginError(.closed, error.message))
        }
    }

    private func cancel(_ id: Int64) {
        let (cancelled, resume) = state.withLock { state -> (PluginRequestTable.Cancelled, Resume?) in
            let cancelled = state.requests.cancel(id, limit: .now + Self.cancelLimit)
            guard cancelled == .waiting else { return (cancelled, nil) }
            return (cancelled, settle(id, .failure(PluginError(.cancelled, "a request was given up")), &state))
        }
        resume?()
        if cancelled == .running { try? send(.cancel(id: id)) }
    }

    /// Hands the answer to who waits. Under the lock; what it returns is called without.
    func settle(_ id: Int64, _ answer: Result<JSONObject, PluginError>, _ state: inout State) -> Resume? {
        guard let waiter = state.waiters.removeValue(forKey: id) else { return nil }
        return { waiter.continuation?.resume(returning: answer) }
    }

    /// Sends those whose turn has come.
    func advance() {
        while let next = state.withLock({ $0.error == nil ? $0.requests.next() : nil }) {
            var request = next.request
            if let due = next.due { request.deadline = max(1, Int((due - .now) / .milliseconds(1))) }
            transmit(request)
        }
    }

    // MARK: Time

    /// Looks at deadlines and signs of life, now and then until the connection ends.
    func look() {
        let now = ContinuousClock.now
        var ping: Int64?
        let (resumes, failure, isOver) = state.withLock { state -> ([Resume], PluginError?, Bool) in
            guard state.error == nil else { return ([], nil, true) }
            let resumes = state.requests.expire(now).compactMap { id in
                settle(id, .failure(PluginError(.overdue, "the plugin had no time for a request")), &state)
            }
            if let hung = state.requests.hung(now, grace: times.grace) {
                let message = "the plugin is hung: no answer to \(hung.method) \(times.grace) after its deadline"
                return (resumes, PluginError(.hung, message), true)
            }
            let silence = now - state.lastHeard
            if silence >= times.silence {
                return (resumes, PluginError(.hung, "the plugin is hung: nothing from it for \(times.silence)"), true)
            }
            if silence >= times.pingAfter, !state.pingIsOut {
                state.pingIsOut = true
                ping = state.nextPing
                state.nextPing += 1
            }
            return (resumes, nil, false)
        }
        for resume in resumes { resume() }
        if let failure { return fail(failure) }
        if isOver { return }
        if let ping { try? send(.ping(id: ping)) }
        let pause = min(.milliseconds(250), times.grace / 4, times.pingAfter / 4)
        reactor.schedule(after: max(pause, .milliseconds(5))) { [weak self] in self?.look() }
    }
}
