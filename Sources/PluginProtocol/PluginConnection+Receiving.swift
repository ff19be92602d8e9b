import HostBackend
import Logging
package import Support
import Synchronization

/// What comes from the plugin. All of it runs on the reactor's thread.
extension PluginConnection {
    package func received(_ bytes: [UInt8]) -> Duration? {
        var frames: [PluginFrame] = []
        let (violation, rest) = state.withLock { state -> (PluginError?, Duration?) in
            let now = ContinuousClock.now
            state.lastHeard = now
            state.pingIsOut = false
            state.decoder.append(bytes)
            var violation: PluginError?
            do throws(PluginError) {
                while let frame = try state.decoder.next() { frames.append(frame) }
            } catch {
                violation = error
            }
            return (violation, Self.rest(frames.count, now, &state))
        }
        for frame in frames where isOpen {
            do throws(PluginError) {
                try take(frame)
            } catch {
                fail(error)
            }
        }
        if let violation { fail(violation) }
        return rest
    }

    /// Holds a plugin back that says too much.
    private static func rest(_ frames: Int, _ now: ContinuousClock.Instant, _ state: inout State) -> Duration? {
        if now - state.second >= .seconds(1) {
            state.second = now
            state.messagesThisSecond = 0
        }
        state.messagesThisSecond += frames
        guard state.messagesThisSecond > messagesPerSecond else { return nil }
        return max(.milliseconds(1), .seconds(1) - (now - state.second))
    }

    package func ended(_ error: SystemCallError?) {
        let left = state.withLock { $0.decoder.waiting }
        if left > 0 {
            fail(PluginError(.violation, "the plugin's output ended in the middle of a frame"))
        } else {
            fail(PluginError(.closed, error.map { "the plugin cannot be read: \($0)" } ?? "the plugin has closed"))
        }
    }

    private func take(_ frame: PluginFrame) throws(PluginError) {
        switch frame {
        case .unknown: return
        case .console(let console):
            guard let stream = state.withLock({ $0.streams[console.stream] }) else { return }
            try stream.take(console)
        case .message(let payload):
            let message: PluginMessage?
            do {
                message = try PluginMessage(PluginFrame.object(of: payload))
            } catch let error as PluginError {
                throw error
            } catch {
                throw PluginError(.violation, "\(error)")
            }
            if let message { try take(message) }
        }
    }

    private func take(_ message: PluginMessage) throws(PluginError) {
        if let resume = try greeting(message) { return resume() }
        switch message {
        case .hello, .error: throw PluginError(.violation, "the plugin said hello twice")
        case .result(let id, let result): answered(id, .success(result))
        case .fault(let id, let fault): answered(id, .failure(PluginError(fault)))
        case .progress(let id, let members):
            state.withLock { _ = $0.waiters[id]?.progress?.yield(members) }
        case .event(let event):
            if case .dropped = eventSink.yield(event) {
                logger.warning("events of the plugin were dropped: too many at once")
            }
        case .dropped(let stream, let offset, let bytes):
            try state.withLock { $0.streams[stream] }?.dropped(bytes, at: offset)
        case .end(let stream, let reason):
            state.withLock { $0.streams.removeValue(forKey: stream) }?.end(reason)
        case .ping(let id): try? send(.pong(id: id))
        case .pong: break
        }
    }

    /// Takes the first message, which must be a hello.
    ///
    /// - Returns: what to call then; `nil` when it is not the first one.
    private func greeting(_ message: PluginMessage) throws(PluginError) -> Resume? {
        guard state.withLock({ $0.hello }) == nil else { return nil }
        switch message {
        case .error(let fault): throw PluginError(fault)
        case .hello(let hello):
            guard let version = hello.version else {
                throw PluginError(
                    .incompatible,
                    "no version of the protocol in common: this worker speaks \(workerHello.versions), "
                        + "the plugin \(hello.versions)"
                )
            }
            guard workerHello.versions.contains(version), hello.versions.contains(version) else {
                throw PluginError(.incompatible, "the plugin chose version \(version) of the protocol")
            }
            guard hello.nonce == workerHello.nonce else {
                throw PluginError(.violation, "the plugin's hello is not an answer to ours")
            }
            let waiter = state.withLock { state in
                state.hello = hello
                state.requests.limit = hello.maximumParallel
                defer { state.helloWaiter = nil }
                return state.helloWaiter
            }
            return { waiter?.resume(returning: .success(hello)) }
        default: throw PluginError(.violation, "the plugin's first message is not hello")
        }
    }

    private func answered(_ id: Int64, _ answer: Result<JSONObject, PluginError>) {
        let resume = state.withLock { state -> Resume? in
            guard state.requests.finish(id) else { return nil }
            if state.waiters[id]?.opensStream == true, case .success(let result) = answer,
                let number = result["stream"]?.intValue
            {
                // Known before its first bytes come, which may be in the same read.
                let stream = UInt32(clamping: number)
                guard number > 0, stream > state.lastStream else {
                    let error = PluginError(.violation, "the plugin used the stream id \(number) again")
                    return settle(id, .failure(error), &state)
                }
                state.lastStream = stream
                let console = PluginConsoleStream(
                    id: stream,
                    offset: UInt64(clamping: result["offset"]?.intValue ?? 0),
                    connection: self
                )
                state.streams[stream] = console
                state.opened[stream] = console
            }
            return settle(id, answer, &state)
        }
        resume?()
        advance()
    }
}
