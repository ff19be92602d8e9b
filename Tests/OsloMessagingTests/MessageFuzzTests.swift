import AMQPModel
import JSONCodec
import OsloMessaging
import Support
import TestSupport
import Testing

/// 100,000 damaged messages through everything that reads what peers send: each has a definite outcome, and every
/// answer is a message that reads back.
///
/// The number of cases can be set with `VMOPS_FUZZ_CASES`.
@Suite struct MessageFuzzTests {
    private static let shards = 16

    private struct Echo: RPCEndpoint {
        let namespace: String? = nil
        let version = "1.5"
        func method(named name: String) -> RemoteMethod? {
            name == "missing_method" ? nil : RemoteMethod(name, .inline { .object($0.args) })
        }
    }

    private static let vectors = OsloVector.named("")
    private static let dispatcher = RPCDispatcher(endpoints: [PingEndpoint(), Echo()])

    @Test(arguments: 0..<shards)
    func damagedMessagesHaveADefiniteOutcome(_ shard: Int) throws {
        var mutator = MessageMutator(seed: UInt64(shard) + 1)
        var encoder = ReplyEncoder()
        var filter = DuplicateFilter(capacity: 64)
        var seen = Outcomes()
        let vectors = Self.vectors
        #expect(vectors.count > 100)
        for round in 0..<(FuzzCases.total / Self.shards) {
            let vector = vectors[round % vectors.count]
            let other = vectors[Int.random(in: 0..<vectors.count, using: &mutator.generator)]
            let body = mutator.mutate(vector.body, with: other.body)
            let properties = vector.messageProperties
            if vector.name.hasPrefix("request-") || round.isMultiple(of: 8) {
                try serve(body, properties, &encoder, &filter, &seen)
            }
            if vector.name.hasPrefix("reply-") { read(body, properties, &seen) }
            if vector.name.hasPrefix("notify-") {
                _ = try? OsloMessaging.Notification(body: body, properties: properties)
            }
        }
        // The damage is neither so slight nor so heavy that only one way is taken.
        #expect(seen.requests > 0)
        #expect(seen.rejections > 0)
        #expect(seen.replies > 0)
        #expect(seen.calls > 0)
    }

    private struct Outcomes {
        var requests = 0
        var rejections = 0
        var replies = 0
        var calls = 0
    }

    private func serve(
        _ body: [UInt8],
        _ properties: MessageProperties,
        _ encoder: inout ReplyEncoder,
        _ filter: inout DuplicateFilter,
        _ seen: inout Outcomes
    ) throws {
        switch RequestDecoder().decode(body: body, properties: properties) {
        case .ignored:
            #expect(body.isEmpty || properties.headers?.isEmpty == false)
        case .rejected(let rejection):
            seen.rejections += 1
            #expect(rejection.size == body.count)
            #expect(!rejection.description.isEmpty)
        case .answerable(let call):
            try check(encoder.failure(call.failure, to: call.reply), call.reply)
        case .request(let request):
            seen.requests += 1
            if let id = request.uniqueID { _ = filter.insert(id) }
            _ = request.heartbeatInterval
            guard let address = request.reply else { return }
            seen.calls += 1
            switch Self.dispatcher.resolve(request) {
            case .failure(let failure):
                let traced = failure.withTraceback(method: request.method, host: "h", requestID: request.requestID)
                try check(encoder.failure(traced, to: address), address)
            case .success(let method):
                guard case .inline(let handler) = method.handler else { return }
                try check(encoder.result(try handler(request), to: address), address)
            }
        }
    }

    private func check(_ message: OutboundMessage, _ address: ReplyAddress) throws {
        let reply = try RPCReply(body: message.body, properties: message.properties)
        #expect(reply.messageID == address.messageID)
        #expect(reply.ending)
        #expect(message.routingKey == address.queue)
    }

    private func read(_ body: [UInt8], _ properties: MessageProperties, _ seen: inout Outcomes) {
        guard let reply = try? RPCReply(body: body, properties: properties) else { return }
        seen.replies += 1
        var assembly = ReplyAssembly()
        let outcome = assembly.take(reply)
        #expect((outcome != nil) == reply.ending)
    }
}
