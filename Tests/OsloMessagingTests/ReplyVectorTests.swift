import AMQPModel
import JSONCodec
import OsloMessaging
import Support
import TestSupport
import Testing

@Suite struct ReplyVectorTests {
    private static let replies = OsloVector.named("reply-")

    private func decode(_ vector: OsloVector) throws -> RPCReply {
        try RPCReply(body: vector.body, properties: vector.messageProperties)
    }

    @Test func allVectorsAreThere() {
        #expect(Self.replies.count == 56)
    }

    @Test(arguments: replies)
    func everyCapturedReplyIsReadAndWrittenBackByteForByte(_ vector: OsloVector) throws {
        let reply = try decode(vector)
        #expect(reply.messageID.utf8.count == 32)
        #expect(reply.ending != vector.name.contains("heartbeat"))
        #expect(reply.isHeartbeat == vector.name.contains("heartbeat"))
        #expect((reply.failure != nil) == (vector.clientObserved?.raised != nil))
        switch vector.name {
        case "reply-value-nonfinite":
            #expect(throws: JSONError.self) { try reply.encode() }
        case "reply-value-surrogate":
            let expected = String(utf8: vector.body).replacing(#"\\ud83d"#, with: #"\\ufffd"#)
            #expect(String(utf8: try reply.encode()) == expected)
        case "reply-gzip":
            #expect(try RPCReply(body: try reply.encode(), properties: OsloProperties.plain) == reply)
        default:
            #expect(String(utf8: try reply.encode()) == String(utf8: vector.body))
        }
    }

    /// The server's encoder differs from the captured message in nothing but the `_unique_id` it makes up.
    @Test(arguments: replies.filter { $0.name != "reply-gzip" && !$0.name.hasSuffix("surrogate") })
    func theEncoderWritesEveryCapturedReply(_ vector: OsloVector) throws {
        let reply = try decode(vector)
        let address = ReplyAddress(messageID: reply.messageID, queue: vector.routingKey)
        var encoder = ReplyEncoder()
        let message =
            if let failure = reply.failure {
                encoder.failure(failure, to: address)
            } else if reply.isHeartbeat {
                encoder.heartbeat(to: address)
            } else {
                encoder.result(reply.result ?? .null, to: address)
            }
        #expect(message.exchange == vector.exchange)
        #expect(message.routingKey == vector.routingKey)
        #expect(message.mandatory == vector.mandatory)
        #expect(message.properties == vector.messageProperties)
        let written = try RPCReply(body: message.body, properties: message.properties)
        let id = try #require(written.uniqueID)
        #expect(id.utf8.count == 32)
        if vector.name == "reply-value-nonfinite" {
            #expect(written.failure?.className == "ValueError")
        } else {
            let expected = String(utf8: vector.body).replacing(try #require(reply.uniqueID), with: id)
            #expect(String(utf8: message.body) == expected)
        }
    }

    @Test func idsAreVersionFourAndDiffer() throws {
        var encoder = ReplyEncoder()
        var ids: Set<String> = []
        for _ in 0..<200 {
            let message = encoder.heartbeat(to: ReplyAddress(messageID: "m", queue: "q"))
            let id = try #require(try RPCReply(body: message.body, properties: message.properties).uniqueID)
            #expect(id.dropFirst(12).first == "4")
            #expect("89ab".contains(id.dropFirst(16).first ?? "-"))
            ids.insert(id)
        }
        #expect(ids.count == 200)
    }

    @Test func anIdWithOddCharactersIsEscaped() throws {
        var encoder = ReplyEncoder(mandatory: false)
        let message = encoder.result("x", to: ReplyAddress(messageID: "a\"\\\n☃", queue: "q"))
        #expect(try RPCReply(body: message.body, properties: message.properties).messageID == "a\"\\\n☃")
        #expect(!message.mandatory)
    }
}
