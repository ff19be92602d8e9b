import JSONCodec
import OsloMessaging

/// Runs one stage over one body, again and again.
struct CodecRun {
    private let body: [UInt8]
    private let inner: [UInt8]
    private let address: ReplyAddress
    private let decoder = RequestDecoder()
    private var encoder = ReplyEncoder()

    /// - Throws: when the body is not a call in an envelope.
    init(_ codecCase: CodecCase) throws {
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
            for _ in 0..<iterations { keep(try JSONReader.read(inner)) }
        case .decode:
            for _ in 0..<iterations { keep(decoder.decode(body: body, properties: OsloProperties.plain)) }
        case .encode:
            for _ in 0..<iterations { keep(encoder.result(CodecCase.result, to: address)) }
        case .request:
            for _ in 0..<iterations {
                keep(decoder.decode(body: body, properties: OsloProperties.plain))
                keep(encoder.result(CodecCase.result, to: address))
            }
        }
    }
}

/// Why a measurement is impossible.
struct BenchError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
