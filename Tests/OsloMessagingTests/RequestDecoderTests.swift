import AMQPModel
import JSONCodec
import OsloMessaging
import Support
import Testing

/// What Python's server tolerates and what it does not (oslo.messaging wire, sections 3 to 5).
@Suite struct RequestDecoderTests {
    private let decoder = RequestDecoder()

    private func enveloped(_ inner: String) throws -> [UInt8] {
        try JSONWriter.bytes(of: ["oslo.version": "2.0", "oslo.message": .string(inner)])
    }

    private func decode(_ body: [UInt8], _ properties: MessageProperties = OsloProperties.plain) -> DecodedMessage {
        decoder.decode(body: body, properties: properties)
    }

    private func request(_ inner: String) throws -> RPCRequest? {
        guard case .request(let request) = decode(try enveloped(inner)) else { return nil }
        return request
    }

    private func answerable(_ inner: String) throws -> AnswerableRequest? {
        guard case .answerable(let request) = decode(try enveloped(inner)) else { return nil }
        return request
    }

    private func rejection(_ body: [UInt8], _ properties: MessageProperties = OsloProperties.plain) -> MessageRejection?
    {
        guard case .rejected(let rejection) = decode(body, properties) else { return nil }
        return rejection
    }

    @Test func absentMembersHaveTheirDefaults() throws {
        let request = try #require(try request(#"{"method": "m", "unknown": 1}"#))
        #expect(request == RPCRequest(method: "m", uniqueID: nil))
        #expect(request.effectiveVersion == "1.0")
        #expect(!request.isCall)
    }

    @Test(
        arguments: [
            (#"{"method": "m", "namespace": null}"#, nil), (#"{"method": "m", "namespace": ""}"#, ""),
            (#"{"method": "m", "namespace": "x"}"#, "x"),
        ] as [(String, String?)]
    )
    func nullIsNoNamespaceButEmptyIs(_ inner: String, _ namespace: String?) throws {
        #expect(try #require(try request(inner)).namespace == namespace)
    }

    @Test(arguments: [
        #""_msg_id": "i""#, #""_msg_id": "", "_reply_q": "q""#, #""_msg_id": "i", "_reply_q": """#,
        #""_msg_id": null, "_reply_q": "q""#, #""_reply_q": "q""#,
    ])
    func withoutIdAndQueueItIsACast(_ members: String) throws {
        let request = try #require(try request(#"{"method": "m", "_timeout": 60, "# + members + "}"))
        #expect(!request.isCall)
        #expect(request.monitorTimeout == nil)
    }

    @Test(arguments: [
        (#""args": [1]"#, "AttributeError", "'list' object has no attribute 'items'"),
        (#""args": null"#, "AttributeError", "'NoneType' object has no attribute 'items'"),
        (#""args": "x""#, "AttributeError", "'str' object has no attribute 'items'"),
        (#""args": 1.5"#, "AttributeError", "'float' object has no attribute 'items'"),
        (#""version": 2.0"#, "AttributeError", "'float' object has no attribute 'split'"),
        (
            #""version": null"#, "UnsupportedVersion",
            "Endpoint does not support RPC version None. Attempted method: m"
        ),
        (
            #""namespace": 5"#, "UnsupportedVersion",
            "Endpoint does not support RPC version 1.0. Attempted method: m"
        ),
        (#""method": null"#, "TypeError", "attribute name must be string, not 'NoneType'"),
        (#""method": 7"#, "TypeError", "attribute name must be string, not 'int'"),
    ])
    func malformedCallsAreAnswered(_ member: String, _ className: String, _ message: String) throws {
        let inner = #"{"method": "m", "_msg_id": "i", "_reply_q": "q", "_unique_id": "u", "_context_request_id": "r", "#
        let call = try #require(try answerable(inner + member + "}"))
        #expect(call.failure.className == className)
        #expect(call.failure.message == message)
        #expect(call.reply == ReplyAddress(messageID: "i", queue: "q"))
        #expect(call.uniqueID == "u")
        #expect(call.requestID == "r")
    }

    @Test func aCallWithoutMethodIsAnswered() throws {
        let call = try #require(try answerable(#"{"_msg_id": "i", "_reply_q": "q"}"#))
        #expect(call.failure.className == "TypeError")
        #expect(call.method == nil)
    }

    @Test func malformedCastsAreRejected() throws {
        let rejection = try #require(self.rejection(try enveloped(#"{"method": "m", "args": [1]}"#)))
        #expect(rejection.code == .invalidRequest)
    }

    @Test func anEmptyBodyIsIgnored() {
        guard case .ignored = decode([]) else {
            Issue.record("not ignored")
            return
        }
    }

    @Test func theEnvelopeMayBeMissing() throws {
        guard case .request(let request) = decode(Array(#"{"method": "m", "args": {"a": NaN}, "_context_x": 1}"#.utf8))
        else {
            Issue.record("no request")
            return
        }
        #expect(request.method == "m")
        #expect(request.context == ["x": 1])
    }

    @Test(arguments: [
        #"{"oslo.message": "{\"method\": \"m\"}", "oslo.version": "2.0", "more": [1]}"#,
        #"{"oslo.version": "2.0", "oslo.message": "{\"method\": \"m\", \"args\": {\"x\": \"\ud83d\"}}"}"#,
        #" {"oslo.version":"2.0","oslo.message":"{\"method\":\"m\",\"args\":{\"é\":\"☃\"}}"}"#,
    ])
    func unusualEnvelopesAreRead(_ body: String) {
        guard case .request(let request) = decode(Array(body.utf8)) else {
            Issue.record("no request")
            return
        }
        #expect(request.method == "m")
    }

    @Test(
        arguments: [
            (#"{"oslo.version": "1.0", "oslo.message": "{}"}"#, .envelope),
            (#"{"oslo.version": "2.1", "oslo.message": "{}"}"#, .envelope),
            (#"{"oslo.version": "3.0", "oslo.message": "{}"}"#, .envelope),
            (#"{"oslo.version": "2", "oslo.message": "{}"}"#, .envelope),
            (#"{"oslo.version": 2.0, "oslo.message": "{}"}"#, .envelope),
            (#"{"oslo.version": "2.0", "oslo.message": {"method": "m"}}"#, .envelope),
            (#"{"oslo.version": "2.0", "oslo.message": "[1]"}"#, .notAnObject),
            (#"{"oslo.version": "2.0", "oslo.message": "{"}"#, .malformedJSON),
            (#"{"oslo.version": "2.0", "oslo.message": ""}"#, .malformedJSON),
            ("[1]", .notAnObject), ("1", .notAnObject), ("{", .malformedJSON), ("\u{0}", .malformedJSON),
        ] as [(String, MessageRejection.Code)]
    )
    func malformedBodiesAreRejected(_ body: String, _ code: MessageRejection.Code) throws {
        #expect(try #require(rejection(Array(body.utf8))).code == code)
    }

    @Test(arguments: [nil, "text/plain", "application/json; charset=utf-8", "Application/JSON", ""])
    func onlyTheOneContentTypeIsTaken(_ type: String?) throws {
        var properties = OsloProperties.plain
        properties.contentType = type
        #expect(try #require(rejection(try enveloped(#"{"method": "m"}"#), properties)).code == .contentType)
    }

    @Test func otherPropertiesDoNotMatter() throws {
        let bare = MessageProperties(contentType: "application/json", contentEncoding: "UTF-8")
        guard case .request = decode(try enveloped(#"{"method": "m"}"#), bare) else {
            Issue.record("no request")
            return
        }
    }

    @Test(arguments: ["application/x-bz2", "application/x-lzma", "zstd\n", "application/x-gzip"])
    func compressionsThatCannotBeReadAreRejected(_ name: String) throws {
        var properties = OsloProperties.plain
        properties.headers = ["compression": .string(name)]
        let rejection = try #require(self.rejection(try enveloped(#"{"method": "m"}"#), properties))
        #expect(rejection.code == .compression)
        #expect(!rejection.description.contains("\n"))
    }

    /// A zlib stream of a few hundred bytes that holds one mebibyte of blanks.
    @Test func aCompressedBombStopsAtTheLimit() throws {
        var properties = OsloProperties.plain
        properties.headers = ["compression": .string("application/x-gzip")]
        let decoder = RequestDecoder(limits: JSONLimits(maximumBytes: 100_000))
        let decoded = decoder.decode(body: Self.bomb, properties: properties)
        guard case .rejected(let rejection) = decoded else {
            Issue.record("\(decoded)")
            return
        }
        #expect(rejection.code == .tooLarge)
        #expect(rejection.detail.contains("after decompression"))
        #expect(rejection.size == Self.bomb.count)
        #expect(try #require(self.rejection(Self.bomb, properties)).code == .malformedJSON)
        #expect(try #require(self.rejection(Array(Self.bomb.dropLast(20)), properties)).code == .compression)
    }

    @Test func largeBodiesAreRejectedUnread() throws {
        let rejection = try #require(self.rejection([UInt8](repeating: UInt8(ascii: "["), count: 100 << 20)))
        #expect(rejection.code == .tooLarge)
        #expect(rejection.size == 100 << 20)
    }

    @Test func deepNestingIsRejected() throws {
        let deep = String(repeating: "[", count: 10_000) + String(repeating: "]", count: 10_000)
        let rejection = try #require(self.rejection(try enveloped(#"{"method": "m", "args": {"a": "# + deep + "}}")))
        #expect(rejection.code == .malformedJSON)
        #expect(rejection.detail.contains("too deep"))
        #expect(try #require(self.rejection(Array(deep.utf8))).code == .malformedJSON)
    }

    @Test func aRejectionSaysWhereButNotWhat() throws {
        let body = try enveloped(#"{"method": "m", "args": {"admin_pass": "hunter2}}"#)
        let rejection = try #require(self.rejection(body))
        #expect(rejection.position == 49)
        #expect(rejection.parserCode != nil)
        #expect(rejection.description.contains("\(rejection.size) bytes"))
        #expect(!rejection.description.contains("hunter2"))
        #expect(rejection.digest != self.rejection(Array("{".utf8))?.digest)
    }
}
