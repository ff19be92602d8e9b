import AMQPTransport
import DaemonBench
import OsloMessaging
import Support
import TestSupport
import Testing

/// Messages and requests as no well-behaved client sends them: each is refused clearly, and others are served meanwhile.
@Suite(.enabled(if: TestBroker.isAvailable, Comment(rawValue: TestBroker.missing)), .timeLimit(.minutes(5)))
struct BadInputTests {
    @Test func messagesThatCannotBeReadAreRejectedCountedAndLogged() async throws {
        try await Bench.run { bench in
            let request = try RPCRequest(method: "ping", uniqueID: UniqueID.make()).encode()
            let bad: [(reason: String, body: [UInt8], contentType: String?)] = [
                ("malformed_JSON", Array("{\"oslo.version\": \"2.0\", ".utf8), "application/json"),
                ("malformed_JSON", [0xFF, 0xFE, 0x00], "application/json"),
                ("malformed_JSON", Array(" ".utf8), "application/json"),
                ("not_an_object", Array("[1, 2]".utf8), "application/json"),
                ("envelope", Array("{\"oslo.version\": \"9.0\", \"oslo.message\": \"{}\"}".utf8), "application/json"),
                ("content_type", request, "text/plain"),
                ("content_type", request, nil),
                ("malformed_JSON", Self.nested("[", "]"), "application/json"),
            ]
            for (reason, body, contentType) in bad {
                let before = try await bench.metric("vmops_rpc_rejected_total", reason)
                let lines = bench.rejections.count
                try await bench.publish(body, contentType: contentType)
                try await eventually("a count of \(reason)") {
                    try await bench.metric("vmops_rpc_rejected_total", reason) == before + 1
                }
                try await eventually("a log line for \(reason)") { bench.rejections.count == lines + 1 }
                try await bench.call("ping")
            }
        }
    }

    @Test func aDeeplyNestedArgumentIsAnswered() async throws {
        try await Bench.run { bench in
            // Inside the text of the envelope, where a request is: its caller is there to be told.
            let queue = "reply_\(UniqueID.make())"
            let inner =
                "{\"method\": \"ping\", \"args\": {\"deep\": " + String(decoding: Self.nested("[", "]"), as: UTF8.self)
                + "}, \"_msg_id\": \"1\", \"_reply_q\": \"\(queue)\", \"_unique_id\": \"\(UniqueID.make())\"}"
            let quoted = inner.replacing("\"", with: "\\\"")
            let lines = bench.daemon.logLines.count
            try await bench.publish("{\"oslo.version\": \"2.0\", \"oslo.message\": \"\(quoted)\"}")
            try await eventually("a log line") { bench.daemon.logLines.count > lines }
            try await bench.call("ping")
        }
    }

    @Test func anOversizedMessageCostsNoMemory() async throws {
        try await Bench.run { bench in
            try await bench.call("ping")
            let before = try bench.process()
            async let publishing: Void = bench.publish([UInt8](repeating: 0x20, count: 100 << 20))
            // Others are served while it comes in.
            for _ in 0..<20 { try await bench.call("ping") }
            try await publishing
            try await eventually("a count") { try await bench.metric("vmops_rpc_rejected_total", "too_large") == 1 }
            try await eventually("a log line") { bench.rejections.count == 1 }
            let after = try bench.process()
            print("100 MB message: before \(before), after \(after)")
            // A sanitizer keeps what was freed.
            #expect(Sanitizer.isOn || after.residentKiB < before.residentKiB + 48 << 10)
            try await bench.call("ping")
        }
    }

    @Test func requestsThatMakeNoSenseFailByTheirNames() async throws {
        let unknown = TestInstance().reference
        let cases: [(method: String, args: JSONObject, version: String?, failure: String)] = [
            ("no_such_method", [:], nil, "NoSuchMethod"),
            ("ping", [:], "7.0", "UnsupportedVersion"),
            ("ping", [:], "1.99", "UnsupportedVersion"),
            ("ping", ["extra": 1], nil, "TypeError"),
            ("get_info", [:], nil, "TypeError"),
            ("get_info", ["instance": "text"], nil, "InvalidInput"),
            ("get_info", ["instance": ["uuid": "no uuid"]], nil, "InvalidInput"),
            ("get_info", ["instance": ["uuid": 7]], nil, "InvalidInput"),
            ("get_info", unknown, nil, "InstanceNotFound"),
            ("power_off", unknown, nil, "InstanceNotFound"),
            ("console_read", unknown, nil, "InstanceNotFound"),
        ]
        try await Bench.run { bench in
            for (method, args, version, expected) in cases {
                let failure = try await bench.failure(method, args, version: version)
                #expect(failure == expected, "\(method) \(args) \(version ?? "")")
            }
            // Nobody's version; it must not stop anything.
            _ = try await bench.failure("ping", version: "x.y")
            try await eventually("a count") { try await bench.metric("vmops_rpc_failures_total") > 10 }
        }
    }

    @Test(arguments: ["a/b", "..", ".", "a\u{0}b", "", "new\nline", String(repeating: "x", count: 5000)])
    func anInstanceNameThatIsNoneIsRefused(_ name: String) async throws {
        try await Bench.run { bench in
            let instance = TestInstance(name)
            let failure = try await bench.failure("spawn", ["instance": instance.description])
            #expect(failure == "InvalidInput")
            #expect(try await bench.call("list_instances") == [])
            #expect(Files.names(in: bench.daemon.statePath + "/host-a/instances") == [])
            #expect(try await bench.failure("get_info", ["instance": ["name": .string(name)]]) != nil)
        }
    }

    @Test func anUnreachableReplyQueueHoldsUpNobody() async throws {
        try await Bench.run { bench in
            let instance = TestInstance()
            try await bench.spawn(instance)
            for method in ["ping", "power_off"] {
                for _ in 0..<10 {
                    let request = RPCRequest(
                        method: method,
                        args: method == "ping" ? [:] : instance.reference,
                        reply: ReplyAddress(messageID: UniqueID.make(), queue: "reply_\(UniqueID.make())"),
                        uniqueID: UniqueID.make()
                    )
                    try await bench.publish(try request.encode())
                }
            }
            for _ in 0..<20 { #expect(try await bench.state(instance) != nil) }
            try await eventually("the end of power_off") { try await bench.state(instance) == "off" }
        }
    }

    @Test func aFloodOfCastsLeavesReadsTheirTurn() async throws {
        try await Bench.run { bench in
            let instance = TestInstance()
            let busy = TestInstance("busy", on: "host-b")
            try await bench.spawn(instance)
            try await bench.spawn(busy)
            let before = try bench.process()
            let count = 10_000
            async let flooding: Void = withThrowingTaskGroup(of: Void.self) { group in
                for worker in 0..<16 {
                    group.addTask {
                        for number in stride(from: worker, to: count, by: 16) {
                            try await bench.cast("pause", busy.reference, on: "host-b", requestID: "flood-\(number)")
                        }
                    }
                }
                try await group.waitForAll()
            }
            var worst = Duration.zero
            for _ in 0..<100 {
                let start = ContinuousClock.now
                #expect(try await bench.state(instance) == "running")
                #expect(try await bench.state(busy) != nil)
                worst = max(worst, ContinuousClock.now - start)
            }
            try await flooding
            try await eventually(timeout: .seconds(120), "the end of the flood") {
                try await bench.metric("vmops_rpc_running") + bench.metric("vmops_rpc_queued")
                    + bench.metric("vmops_rpc_held") == 0
            }
            try await eventually("all of it ended") {
                try await bench.metric("vmops_rpc_duration_seconds_count", "method=\"pause\"") == Double(count)
            }
            let after = try bench.process()
            print("flood of \(count) casts: before \(before), after \(after), slowest pair of get_info \(worst)")
            // A sanitizer keeps what was freed.
            #expect(Sanitizer.isOn || after.residentKiB < 256 << 10)
        }
    }

    private static func nested(_ open: String, _ close: String) -> [UInt8] {
        Array((String(repeating: open, count: 10_000) + String(repeating: close, count: 10_000)).utf8)
    }
}

extension Bench {
    var rejections: [String] { daemon.logLines.filter { $0.contains("message rejected") } }
}
