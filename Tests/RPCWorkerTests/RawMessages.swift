import JSONCodec
import OsloMessaging
import Support
import TestSupport

extension OsloClient {
    /// Publishes a body as no library would, and collects what comes back on a queue.
    ///
    /// - Returns: the inner messages of the replies, in order.
    func raw(_ body: String, to key: String = "compute.host-a", _ more: JSONObject = [:]) async throws -> [JSONValue] {
        var command: JSONObject = ["op": "raw", "body": .string(body), "key": .string(key)]
        for (name, value) in more { command[name] = value }
        let answer = try await ask(command)
        guard let replies = answer.result?.arrayValue else {
            throw CastFailed(description: "\(answer.raised ?? "-"): \(answer.text)")
        }
        return replies
    }

    /// Waits for messages on a reply queue, which it declares.
    func collect(_ queue: String, _ count: Int, wait: Double = 20, linger: Double = 0) async throws -> [JSONValue] {
        try await raw(
            "",
            to: "nowhere",
            [
                "times": 0, "reply_queue": .string(queue), "replies": .int(Int64(count)), "wait": .double(wait),
                "linger": .double(linger),
            ]
        )
    }
}

/// A call as Python sends it, with a reply queue of the test's choice.
func callRequest(
    _ method: String,
    _ args: JSONObject = [:],
    queue: String,
    id: String = UniqueID.make(),
    timeout: JSONValue = .null
) -> RPCRequest {
    RPCRequest(
        method: method,
        args: args,
        reply: ReplyAddress(messageID: "m-\(id)", queue: queue),
        timeoutValue: timeout,
        uniqueID: id
    )
}
