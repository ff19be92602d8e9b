import HostBackend
import HostConformance
import Support
import Synchronization

/// Requests over a connection.
struct WireCaller: PluginCaller {
    let session: WireSession
    let hello: PluginHello

    func call(_ method: String, _ params: JSONObject, deadline: Duration) async throws -> JSONObject {
        try await call(method, params, deadline: deadline) { _ in }
    }

    func call(
        _ method: String,
        _ params: JSONObject,
        deadline: Duration,
        progress: @escaping @Sendable (JSONObject) async throws -> Void
    ) async throws -> JSONObject {
        let session = session
        let id = try await session.send(method, params, deadline: deadline)
        // The answer comes also to a request that was cancelled: exactly one (section 4).
        let waiting = Task {
            var told = 0
            while true {
                let news = try await session.until("an answer to \(method)", within: deadline + .seconds(30)) { state in
                    let reports = Array((state.progress[id] ?? []).dropFirst(told))
                    let answer = state.answers[id]
                    return reports.isEmpty && answer == nil ? nil : (reports: reports, answer: answer)
                }
                for report in news.reports { try await progress(report) }
                told += news.reports.count
                if let answer = news.answer { return answer }
            }
        }
        let answer = try await withTaskCancellationHandler {
            try await waiting.value
        } onCancel: {
            // Ends by itself; nobody has to wait for it.
            Task { try? await session.send(["kind": "cancel", "id": .int(id)]) }
        }
        return try answer.get()
    }

    func events() -> AsyncStream<MachineEvent> {
        let session = session
        let first = session.look { $0.events.count }
        return AsyncStream { continuation in
            // Ends with the connection, or when the reader goes.
            let task = Task {
                var next = first
                while !Task.isCancelled {
                    let (more, hasEnded) = session.look { ($0.events[min(next, $0.events.count)...], $0.hasEnded) }
                    for event in more { if let event = MachineEvent(wire: event) { continuation.yield(event) } }
                    next += more.count
                    if hasEnded { break }
                    try? await Task.sleep(for: .milliseconds(2))
                }
                continuation.finish()
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }

    func stream(_ id: Int64) -> any ConsoleStream { WireConsole(session: session, id: id) }
}

/// A console stream as the console's reader wants it; each read is the credit for as much.
final class WireConsole: ConsoleStream {
    private let session: WireSession
    private let id: Int64
    /// How many bytes its reader has; touched under the session's lock.
    private let taken = Atomic(0)

    init(session: WireSession, id: Int64) {
        self.session = session
        self.id = id
    }

    func next() async throws -> [UInt8]? {
        while true {
            try Task.checkCancellation()
            let (bytes, isOver) = session.look { state in
                let stream = state.streams[id]
                let position = taken.load(ordering: .relaxed)
                let bytes = stream.map { Array($0.bytes[min(position, $0.bytes.count)...]) } ?? []
                taken.store(position + bytes.count, ordering: .relaxed)
                state.streams[id]?.grant(bytes.count)
                return (bytes, stream == nil || stream?.endReason != nil || state.hasEnded)
            }
            if !bytes.isEmpty {
                try? await session.send(["kind": "credit", "stream": .int(id), "bytes": .int(Int64(bytes.count))])
                return bytes
            }
            if isOver { return nil }
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    func close() async {
        guard session.look({ $0.streams[id]?.endReason == nil && !$0.hasEnded }) else { return }
        _ = try? await session.request("console.close", ["stream": .int(id)])
    }
}

extension MachineEvent {
    /// `nil` for one that is not understood, which the session has noted.
    init?(wire event: JSONObject) {
        guard let uuid = event["uuid"]?.stringValue.flatMap({ InstanceUUID($0) }) else { return nil }
        let reason = event["reason"]?.stringValue.flatMap { StopReason(rawValue: $0) }
        let kind: Kind
        switch event["type"]?.stringValue {
        case "started": kind = .started
        case "stopped": kind = .stopped(reason ?? .host)
        case "paused": kind = .paused
        case "resumed": kind = .resumed
        case "saved": kind = .saved
        case "rebooted": kind = .rebooted
        case "crashed": kind = .crashed
        case "migrated-in": kind = .migratedIn
        case "migrated-out": kind = .migratedOut
        case "removed": kind = .removed
        default: return nil
        }
        self.init(
            sequence: UInt64(clamping: event["seq"]?.intValue ?? 0),
            uuid: uuid,
            incarnation: UInt64(clamping: event["incarnation"]?.intValue ?? 0),
            kind: kind
        )
    }
}
