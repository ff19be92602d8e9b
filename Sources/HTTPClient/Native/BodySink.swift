import Synchronization

/// Takes the body of one response, on the client's thread alone.
protocol BodySink: Sendable {
    /// The head is there; called once, before any byte of the body, not for interim responses.
    func begin(_ head: HTTPHead) throws(HTTPError)
    /// A piece of the body; the bytes are valid for the call.
    func receive(_ bytes: UnsafeRawBufferPointer) throws(HTTPError)
}

/// Keeps a body in memory, up to a limit.
final class MemorySink: BodySink {
    private let limit: Int
    private let content = Mutex<[UInt8]>([])

    init(limit: Int) { self.limit = limit }

    var bytes: [UInt8] { content.withLock { $0 } }

    func clear() { content.withLock { $0 = [] } }

    func begin(_ head: HTTPHead) throws(HTTPError) {
        guard let text = head["Content-Length"], let length = UInt64(text), length > UInt64(limit) else { return }
        throw HTTPError(.tooLarge, "the response has \(length) bytes, at most \(limit) are taken", status: head.status)
    }

    func receive(_ bytes: UnsafeRawBufferPointer) throws(HTTPError) {
        let fits = content.withLock { content in
            guard content.count + bytes.count <= limit else { return false }
            content.append(contentsOf: bytes)
            return true
        }
        if !fits { throw HTTPError(.tooLarge, "the response has more than \(limit) bytes") }
    }
}
