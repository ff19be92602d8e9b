import AMQPModel
import OsloMessaging
import RPCClient
import Support
import TestSupport
import Testing

@Suite(
    .enabled(if: TestBroker.isAvailable, Comment(rawValue: TestBroker.missing)),
    .enabled(if: PythonPeer.isAvailable, Comment(rawValue: PythonPeer.missing)),
    .timeLimit(.minutes(5))
) struct NotifierTests {
    private static let context: JSONObject = [
        "user_identity": "- - - - -", "auth_token": "secret", "request_id": "req-1", "remote_address": "10.0.0.1",
    ]

    /// Runs a notifier while `body` runs, and closes it in order.
    private func withNotifier(
        _ url: String,
        _ settings: NotifierSettings,
        _ body: (Notifier) async throws -> Void
    ) async throws {
        let notifier = Notifier(connection: try ConnectionOptions(url: url), settings: settings, logger: quiet)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await notifier.run() }
            try await body(notifier)
            await notifier.close()
            try await group.waitForAll()
        }
    }

    @Test(
        arguments: OsloVersion.allCases,
        [Notification.Driver.messagingv2, .messaging]
    ) func aPythonListenerReadsWhatWeSend(_ version: OsloVersion, _ driver: Notification.Driver) async throws {
        try await TestBroker.withVirtualHost { url in
            let settings = NotifierSettings(drivers: [driver], exchange: "nova", topics: ["notifications", "other"])
            // Nobody listens yet: the queues that the notifier declares keep it.
            try await withNotifier(url, settings) { notifier in
                notifier.notify(
                    .info,
                    "instance.power_on.start",
                    payload: ["name": "é", "memory_mb": 512],
                    context: Self.context,
                    publisherID: "compute.host-a"
                )
                try await eventually { notifier.counts.sent == 2 }
            }
            let arguments = ["--url", url, "--topic", "notifications,other"]
            try await PythonPeer.run("notification_listener.py", arguments, version: version) { process in
                _ = try await process.readLine(timeout: .seconds(60))
                for _ in 0..<2 {
                    let seen = try await process.readObject()
                    #expect(seen["priority"] == "info")
                    #expect(seen["event"] == "instance.power_on.start")
                    #expect(seen["publisher"] == "compute.host-a")
                    #expect(seen["payload"] == ["name": "é", "memory_mb": 512])
                    #expect(seen["context"]?["request_id"] == "req-1")
                    #expect(seen["context"]?["auth_token"] == .null)
                    #expect(seen["metadata"]?["message_id"]?.stringValue?.utf8.count == 36)
                }
                try await withNotifier(url, settings) { notifier in
                    notifier.notify(.error, "instance.spawn.error", payload: .null, publisherID: nil)
                    let seen = try await process.readObject()
                    #expect(seen["priority"] == "error")
                }
            }
        }
    }

    @Test func whatIsSentBeforeTheConnectionArrivesToo() async throws {
        try await TestBroker.withVirtualHost { url in
            let settings = NotifierSettings(drivers: [.messagingv2], exchange: "nova")
            try await PythonPeer.run(
                "notification_listener.py",
                ["--url", url, "--topic", "notifications"],
                version: .v18_3_1
            ) { process in
                _ = try await process.readLine(timeout: .seconds(60))
                let notifier = Notifier(connection: try ConnectionOptions(url: url), settings: settings, logger: quiet)
                for number in 0..<20 {
                    notifier.notify(.info, "e", payload: .int(Int64(number)), publisherID: nil)
                }
                #expect(notifier.waiting == 20)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await notifier.run() }
                    var seen: [JSONValue] = []
                    for _ in 0..<20 { seen.append(try await process.readObject()["payload"] ?? .null) }
                    #expect(Set(seen) == Set((0..<20).map { JSONValue.int($0) }))
                    await notifier.close()
                    try await group.waitForAll()
                }
            }
        }
    }

    @Test func anUnreachableBrokerCostsOnlyTheNotifications() async throws {
        let options = ConnectionOptions(
            addresses: [BrokerAddress(host: "127.0.0.1", port: 1, user: "guest", password: Redacted("guest"))],
            connectionName: "test"
        )
        let settings = NotifierSettings(
            drivers: [.messagingv2],
            exchange: "nova",
            retry: 1,
            capacity: 2,
            drainTimeout: .zero
        )
        let notifier = Notifier(connection: options, settings: settings, logger: quiet)
        for _ in 0..<3 { notifier.notify(.info, "e", payload: .null, publisherID: nil) }
        #expect(notifier.waiting == 2)
        #expect(notifier.counts.dropped == 1)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await notifier.run() }
            try await eventually { notifier.counts.dropped == 3 }
            #expect(notifier.waiting == 0)
            await notifier.close()
            try await group.waitForAll()
        }
    }
}
