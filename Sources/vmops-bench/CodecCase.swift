import JSONCodec
import OsloMessaging
import Support

/// A request body to be decoded, and the answer to be encoded for it.
struct CodecCase {
    let name: String
    let body: [UInt8]

    /// What `get_info` answers: the result that every case encodes.
    static let result: JSONValue = .object([
        "uuid": "bbbbbbbb-0000-4000-8000-000000000000", "name": "bench-000000000000", "host": "bench-host",
        "state": "running", "power_state": 1, "task": nil, "memory_mb": 64, "vcpus": 1, "root_gb": 1,
    ])

    /// A call with a context of a few entries, about 700 bytes.
    static func small() throws -> CodecCase {
        let request = RPCRequest(
            method: "get_info",
            args: ["instance": ["uuid": "bbbbbbbb-0000-4000-8000-000000000000", "name": "bench-000000000000"]],
            version: "1.0",
            reply: ReplyAddress(
                messageID: "17ba8905455d439f970af365fa4298af",
                queue: "reply_0e4cff88dcf147b8b511ad84d191e7c6"
            ),
            uniqueID: "a56c6b93c48a4ebcb925ed31a025ea2f",
            context: [
                "request_id": "req-2f6c1c0a-7d0b-4b0e-9a34-5b1f0a9c7e11",
                "user_id": "0d9c8b7a6f5e4d3c2b1a09f8e7d6c5b4", "project_id": "5e2d8c1b7a9f4063b1c4d5e6f7a80912",
                "is_admin": true, "roles": ["admin", "member"], "read_deleted": "no",
                "timestamp": "2026-01-15T10:20:30.000000",
            ]
        )
        return CodecCase(name: "small", body: try request.encode())
    }
}

/// One part of what the worker does with a request.
enum CodecStage: String, CaseIterable {
    /// The inner document out of the envelope.
    case envelope
    /// The inner document into a value.
    case parse
    /// The whole way from a body to a request.
    case decode
    /// The reply's body.
    case encode
    /// Decode and encode: a request's whole share of the codec.
    case request
    /// The same with the choice of the method and a method that answers at once in between.
    case dispatch
}
