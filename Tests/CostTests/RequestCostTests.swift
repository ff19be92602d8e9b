import AMQPModel
import Foundation
import Logging
import OsloMessaging
import RPCClient
import Support
import TestSupport
import Testing

/// What a read costs the daemon, broker included: allocations, and the system calls of its message loop.
@Suite(
    .enabled(if: TestBroker.isAvailable, Comment(rawValue: TestBroker.missing)),
    .disabled(if: Sanitizer.isOn, "counts nothing under sanitizers"),
    .timeLimit(.minutes(5))
)
struct RequestCostTests {
    private static let requests = 2048
    private static let inFlight = 32
    private static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    @Test func aReadAllocatesAndCallsTheSystemNoMoreThanItDid() async throws {
        let limits = try Limits.read()
        try await withTemporaryDirectory { directory in
            let library = directory + "/count_calls.so"
            _ = try await runCommand(
                "cc",
                ["-shared", "-fPIC", "-O2", Limits.directory.appending(path: "count_calls.c").path, "-o", library]
            )
            let file = directory + "/counts"
            var settings = DaemonSettings(hosts: ["host-a"])
            settings.environment = ["LD_PRELOAD": library, "VMOPS_COUNTS": file]
            try await DaemonProcess.run(settings) { daemon in
                let connection = try ConnectionOptions(transportURL: daemon.url)
                try await withRPCClient(connection: connection, logger: Self.quiet) { client in
                    try await client.waitUntilReady()
                    try await Self.read(client, count: 256)
                    let before = try Counts(file)
                    try await Self.read(client, count: Self.requests)
                    Self.check(try Counts(file) - before, limits)
                }
            }
        }
    }

    private static func check(_ counts: Counts, _ limits: Limits) {
        let requests = Double(requests)
        #expect(counts.allocations / requests <= limits.allocations, "\(counts)")
        #expect((counts.polls + counts.receives + counts.sends) / requests <= limits.systemCalls, "\(counts)")
        // However many requests a wake-up brings: each connection is read once and written once for all of them.
        #expect(counts.receives <= counts.polls * 2 + 16, "\(counts)")
        #expect(counts.sends <= counts.polls * 2 + 16, "\(counts)")
    }

    private static func read(_ client: RPCClient, count: Int) async throws {
        let target = RPCTarget(exchange: "nova", topic: "compute", server: "host-a")
        let context: JSONObject = [
            "request_id": .string("req-\(UniqueID.make())"), "project_id": .string(UniqueID.make()),
            "is_admin": true, "roles": ["admin"],
        ]
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<inFlight {
                group.addTask {
                    for _ in 0..<(count / inFlight) {
                        _ = try await client.call(target, "ping", context: context)
                    }
                }
            }
            try await group.waitForAll()
        }
    }
}

/// What `count_calls.c` has counted so far.
private struct Counts: CustomStringConvertible {
    var allocations, polls, receives, sends: Double

    init(_ path: String) throws {
        let words = try Data(contentsOf: URL(filePath: path)).withUnsafeBytes { Array($0.bindMemory(to: UInt64.self)) }
        try #require(words.count == 4)
        (allocations, polls, receives, sends) = (Double(words[0]), Double(words[1]), Double(words[2]), Double(words[3]))
    }

    static func - (later: Counts, earlier: Counts) -> Counts {
        var difference = later
        difference.allocations -= earlier.allocations
        difference.polls -= earlier.polls
        difference.receives -= earlier.receives
        difference.sends -= earlier.sends
        return difference
    }

    var description: String {
        "\(Int(allocations)) allocations, \(Int(polls)) polls, \(Int(receives)) receives, \(Int(sends)) sends"
    }
}

/// The part of `limits.json` that is about whole requests, each figure per request.
private struct Limits: Decodable {
    static let directory = Checkout.root.appending(path: "Tests/Benchmarks")

    private struct File: Decodable {
        let daemon: Limits
    }

    let allocations: Double
    let systemCalls: Double

    static func read() throws -> Limits {
        let text = try Data(contentsOf: directory.appending(path: "limits.json"))
        return try JSONDecoder().decode(File.self, from: text).daemon
    }
}

extension ConnectionOptions {
    fileprivate init(transportURL text: String) throws {
        let url = try TransportURL(text)
        self.init(addresses: url.addresses, virtualHost: url.virtualHost, connectionName: "test:\(UniqueID.make())")
    }
}
