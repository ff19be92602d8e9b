import AMQPModel
import JSONCodec
import OsloMessaging
import Support
import TestSupport
import Testing

@Suite struct RequestVectorTests {
    private static let requests = OsloVector.named("request-")

    private func decode(_ vector: OsloVector) throws -> RPCRequest {
        let decoded = RequestDecoder().decode(body: vector.body, properties: vector.messageProperties)
        guard case .request(let request) = decoded else {
            Issue.record("\(vector) became \(decoded)")
            throw CancellationError()
        }
        return request
    }

    @Test func allVectorsAreThere() {
        #expect(Self.requests.count == 34)
    }

    @Test(arguments: requests)
    func everyCapturedRequestIsRead(_ vector: OsloVector) throws {
        let request = try decode(vector)
        #expect(!request.method.isEmpty)
        #expect(request.uniqueID?.utf8.count == 32)
        #expect(request.isCall == (vector.properties.expiration != nil))
        #expect(request.messageID?.utf8.count == (request.isCall ? 32 : nil))
        #expect(request.replyQueue?.hasPrefix("reply_") == (request.isCall ? true : nil))
    }

    /// Not so for what is rightly written otherwise: NaN not at all, a lone surrogate as U+FFFD, nothing compressed.
    @Test(arguments: requests)
    func everyCapturedRequestIsWrittenBackByteForByte(_ vector: OsloVector) throws {
        let request = try decode(vector)
        switch vector.name {
        case "request-value-nonfinite":
            #expect(throws: JSONError.self) { try request.encode() }
        case "request-value-surrogate":
            let expected = String(utf8: vector.body).replacing(#"\\ud83d"#, with: #"\\ufffd"#)
            #expect(String(utf8: try request.encode()) == expected)
        case "request-call-gzip":
            let again = RequestDecoder().decode(body: try request.encode(), properties: OsloProperties.plain)
            guard case .request(let copy) = again else { throw CancellationError() }
            #expect(copy == request)
            #expect(request.args["text"]?.stringValue?.hasPrefix("hello hello") == true)
        default:
            #expect(String(utf8: try request.encode()) == String(utf8: vector.body))
        }
    }

    @Test(arguments: requests)
    func everyCapturedRequestIsAddressedAsPythonDid(_ vector: OsloVector) throws {
        let body = try? decode(vector).encode()
        let parts = vector.routingKey.split(separator: ".", maxSplits: 1).map(String.init)
        var target = RPCTarget(exchange: vector.exchange, topic: parts.first ?? "", server: parts.dropFirst().first)
        if vector.exchange.hasSuffix("_fanout") {
            target = RPCTarget(exchange: "openstack", topic: String(vector.exchange.dropLast(7)), fanout: true)
        }
        let message: OutboundMessage
        if let expiration = vector.properties.expiration.flatMap({ Int($0) }) {
            let timeout = Duration.milliseconds(expiration) + .microseconds(999)
            message = .call(body ?? [], to: target, timeout: timeout, mandatory: vector.mandatory)
        } else {
            message = .cast(body ?? [], to: target, mandatory: vector.mandatory)
        }
        #expect(message.exchange == vector.exchange)
        #expect(message.routingKey == vector.routingKey)
        #expect(message.mandatory == vector.mandatory)
        var expected = vector.messageProperties
        expected.headers = [:]
        #expect(message.properties == expected)
    }

    @Test func contextLosesItsPrefixAndNothingElse() throws {
        let request = try decode(OsloVector(folder: "nova", name: "request-ping-baseapi"))
        #expect(request.requestID == "req-0d9f6c3e-1b2a-4c5d-8e7f-001122334455")
        #expect(request.context.count == 25)
        #expect(request.context["roles"] == ["member", "reader"])
        #expect(request.namespace == "baseapi")
        #expect(request.args == ["arg": "hello"])
    }

    @Test func monitoredCallsSayHowOften() throws {
        let monitored = try decode(OsloVector(folder: "18.3.1", name: "request-call-monitored"))
        #expect(monitored.monitorTimeout == 2)
        #expect(monitored.heartbeatInterval == .seconds(1))
        let plain = try decode(OsloVector(folder: "18.3.1", name: "request-call-topic"))
        #expect(plain.monitorTimeout == nil)
        #expect(plain.heartbeatInterval == nil)
    }

    @Test func numbersBeyondJSONArriveWhole() throws {
        let large = try decode(OsloVector(folder: "18.3.1", name: "request-value-large")).args["value"]
        #expect(large?["i53p1"] == 9_007_199_254_740_993)
        #expect(large?["u64m1"] == .bigInteger("18446744073709551615"))
        let odd = try decode(OsloVector(folder: "18.3.1", name: "request-value-nonfinite")).args["value"]
        #expect(odd?["nan"]?.doubleValue?.isNaN == true)
        #expect(odd?["ninf"]?.doubleValue == -.infinity)
        let control = try decode(OsloVector(folder: "18.3.1", name: "request-value-control")).args["value"]
        #expect(control?.stringValue?.contains("nul:\0 bell:\u{7}") == true)
    }
}
