import JSONCodec
import Support
import TestSupport

/// A call as a message of its own making, for what the library would not send, and to see every reply.
struct RawRequest: Sendable {
    let messageID = UniqueID.make()
    let replyQueue = "reply_\(UniqueID.make())"
    let body: String

    /// A well-formed request with `more` members beside, or in place of, the usual ones.
    init(method: String, args: JSONObject, more: JSONObject = [:]) throws {
        let text = String(decoding: try JSONWriter.bytes(of: .object(args)), as: UTF8.self)
        try self.init(method: method, argsText: text, more: more)
    }

    /// With arguments as text, which need not be JSON by the letter.
    init(method: String, argsText: String, more: JSONObject = [:]) throws {
        var message: JSONObject = [
            "method": .string(method), "args": "ARGUMENTS", "version": "1.0", "_msg_id": .string(messageID),
            "_reply_q": .string(replyQueue), "_timeout": .null, "_unique_id": .string(UniqueID.make()),
        ]
        for (key, value) in more { message[key] = value }
        let text = String(decoding: try JSONWriter.bytes(of: .object(message)), as: UTF8.self)
        let inner = text.split(separator: "\"ARGUMENTS\"", maxSplits: 1, omittingEmptySubsequences: false)
            .joined(separator: argsText)
        let envelope: JSONValue = ["oslo.version": "2.0", "oslo.message": .string(inner)]
        body = String(decoding: try JSONWriter.bytes(of: envelope), as: UTF8.self)
    }

    /// Publishes it to a host and collects replies up to the final one, or `count` of them, then those of `linger`
    /// seconds more.
    func replies(
        _ client: OsloClient,
        host: String = "host-a",
        times: Int = 1,
        count: Int? = nil,
        linger: Double = 0
    ) async throws -> [JSONValue] {
        let answer = try await client.ask([
            "op": "raw", "body": .string(body), "key": .string("compute.\(host)"), "times": .int(Int64(times)),
            "reply_queue": .string(replyQueue), "replies": count.map { .int(Int64($0)) } ?? "ending", "wait": 30,
            "linger": .double(linger),
        ])
        guard let replies = answer.result?.arrayValue else {
            throw ConditionNotMet(description: "the raw client answered \(answer.fields)")
        }
        return replies
    }
}
