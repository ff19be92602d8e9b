import AMQPModel
import JSONCodec
import OsloMessaging

/// Runs one stage over one body, again and again.
struct CodecRun {
    private let body: [UInt8]
    private let inner: [UInt8]
    private let address: ReplyAddress
    private let parser: JSONParser
    private let decoder: RequestDecoder
    private let dispatcher = RPCDispatcher(endpoints: [AnsweringEndpoint()])
    private var encoder = ReplyEncoder()

    /// - Throws: when the body is not a call in an envelope.
    init(_ codecCase: CodecCase, _ parser: JSONParser) throws {
        self.parser = parser
        decoder = RequestDecoder(parser: parser)
        body = codecCase.body
        guard let inner = EnvelopeScan.inner(codecCase.body.span) else {
            throw BenchError("\(codecCase.name) is not in an envelope")
        }
        self.inner = inner
        guard case .request(let request) = decoder.decode(body: body, properties: OsloProperties.plain),
            let address = request.reply
        else { throw BenchError("\(codecCase.name) is not a call") }
        self.address = address
    }

    mutating func run(_ stage: CodecStage, iterations: Int) throws {
        switch stage {
        case .envelope:
            for _ in 0..<iterations { keep(EnvelopeScan.inner(body.span)) }
        case .parse:
            for _ in 0..<iterations { keep(try JSONReader.read(inner, parser: parser)) }
        case .decode:
            for _ in 0..<iterations { keep(decoder.decode(body: body, properties: OsloProperties.plain)) }
        case .encode:
            for _ in 0..<iterations { keep(encoder.result(CodecCase.result, to: address)) }
        case .request:
            for _ in 0..<iterations {
                keep(decoder.decode(body: body, properties: OsloProperties.plain))
                keep(encoder.result(CodecCase.result, to: address))
            }
        case .dispatch:
            for _ in 0..<iterations { keep(try answer()) }
        }
    }

    private mutating func answer() throws -> OutboundMessage {
        guard case .request(let request) = decoder.decode(body: body, properties: OsloProperties.plain),
            let address = request.reply, case .success(let method) = dispatcher.resolve(request),
            case .inline(let handler) = method.handler
        else { throw BenchError("the request finds no method") }
        return encoder.result(try handler(request), to: address)
    }
}

/// Has every method, and answers the same to all.
private struct AnsweringEndpoint: RPCEndpoint {
    let namespace: String? = nil
    let version = "1.0"
    private let method = RemoteMethod("get_info", .inline { _ in CodecCase.result })

    func method(named name: String) -> RemoteMethod? { method }
}

/// Why a measurement is impossible.
struct BenchError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
