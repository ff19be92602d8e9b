import HostConformance
import Support

extension PluginCheck {
    static let frames = [
        PluginCheck("a frame may come byte by byte, and many at once", section: "2") { bench in
            let (session, _) = try await bench.connection()
            for byte in try WireBytes.message(["kind": "ping", "id": 11]) { try await session.send(bytes: [byte]) }
            try await session.pong(11)
            var many: [UInt8] = []
            for id in Int64(100)..<120 { many += try WireBytes.message(["kind": "ping", "id": .int(id)]) }
            try await session.send(bytes: many)
            for id in Int64(100)..<120 { try await session.pong(id) }
        },
        PluginCheck("frames of an unknown type are ignored", section: "2") { bench in
            let (session, _) = try await bench.connection()
            let payloads: [[UInt8]] = [[], [0, 1, 2, 255], Array("{\"kind\":\"goodbye\"}".utf8)]
            for payload in payloads {
                try await session.send(bytes: WireBytes.frame(77, payload))
            }
            try await session.ping(12)
        },
        PluginCheck("messages of an unknown kind are ignored", section: "2") { bench in
            let (session, _) = try await bench.connection()
            try await session.send(["kind": "novelty", "id": 1, "method": "host.info"])
            try await session.send(["kind": "pong", "id": 4711])
            try await session.ping(13)
        },
        PluginCheck("unknown members are ignored, and null is the same as not there", section: "2") { bench in
            let (session, _) = try await bench.connection()
            let id = try await session.send(
                "machine.list",
                ["after": .null, "limit": .null, "novelty": [1, ["a": .null]]],
                extra: ["novelty": ["deep": [[["a"]]]], "trace": .null]
            )
            guard case .result = try await session.answer(to: id) else {
                throw CheckFailure(expected: "machine.list succeeds", seen: try await session.answer(to: id).summary)
            }
        },
        PluginCheck("a message as large as the plugin's max_frame is read", section: "2") { bench in
            let (session, hello) = try await bench.connection()
            // An unknown member, in strings of at most 4 KiB.
            let room = min(hello.maximumFrame, 4 << 20)
            var message: JSONObject = ["kind": "ping", "id": 14, "padding": .array([])]
            let overhead = try WireBytes.message(message).count - 4
            let piece = 4000
            let count = max(0, room - overhead) / (piece + 3)
            var padding = [JSONValue](repeating: .string(String(repeating: "x", count: piece)), count: count)
            message["padding"] = .array(padding)
            let rest = room - (try WireBytes.message(message).count - 4) - 3
            if rest > 0 { padding.append(.string(String(repeating: "y", count: rest - (padding.isEmpty ? -1 : 0)))) }
            message["padding"] = .array(padding)
            try await session.send(message)
            try await session.pong(14, within: .seconds(30))
        },
        PluginCheck("a frame longer than max_frame ends the connection", section: "2") { bench in
            for length in [nil, UInt32.max] {
                let (session, hello) = try await bench.fresh()
                let announced = length ?? UInt32(clamping: hello.maximumFrame + 1)
                try await session.send(bytes: WireBytes.bigEndian(announced) + [1] + Array("{\"kind\":".utf8))
                try await endsTidily(session, "after a frame of \(announced) bytes was announced")
            }
        },
        PluginCheck("an empty frame ends the connection", section: "2") { bench in
            let (session, _) = try await bench.fresh()
            try await session.send(bytes: [0, 0, 0, 0])
            try await endsTidily(session, "after an empty frame")
        },
        PluginCheck("a message that is no JSON object ends the connection", section: "2") { bench in
            let payloads: [[UInt8]] = [
                Array("[1, 2]".utf8), Array("{\"kind\": \"ping\", ".utf8), [0x7B, 0xFF, 0xFE, 0x7D], [],
            ]
            for payload in payloads {
                let (session, _) = try await bench.fresh()
                try await session.send(bytes: WireBytes.frame(1, payload))
                try await endsTidily(session, "after the message \(WireDecoder.quote(payload))")
            }
        },
    ]

    /// The plugin has to end by itself, and not by a signal of its own making.
    private static func endsTidily(_ session: WireSession, _ why: String) async throws {
        let end = try await session.untilEnd(why)
        if case .signalled = end {
            throw CheckFailure(expected: "the plugin exits \(why)", seen: end?.description ?? "")
        }
    }
}
