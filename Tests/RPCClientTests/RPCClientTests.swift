import AMQPModel
import OsloMessaging
import RPCClient
import Support
import TestSupport
import Testing

/// The client alone with a broker.
@Suite(
    .enabled(if: TestBroker.isAvailable, Comment(rawValue: TestBroker.missing)),
    .timeLimit(.minutes(5))
) struct RPCClientTests {
    @Test func aMandatoryRequestWithoutAQueueFailsAtOnce() async throws {
        try await TestBroker.withVirtualHost { url in
            try await withClient(url) { client in
                let call = try await clientError {
                    _ = try await client.call(target("nobody"), "m", timeout: .seconds(50), mandatory: true)
                }
                #expect(call?.code == .undeliverable)
                let cast = try await clientError {
                    try await client.cast(target("nobody"), "m", mandatory: true)
                }
                #expect(cast?.code == .undeliverable)
                // Without it a cast vanishes and a call runs into its time.
                try await client.cast(target("nobody"), "m")
                let waiting = try await clientError {
                    _ = try await client.call(target("nobody"), "m", timeout: .seconds(2))
                }
                #expect(waiting?.code == .timeout)
                #expect(client.waiting == 0)
            }
        }
    }

    @Test func aFanOutToNobodyHasNoAnswers() async throws {
        try await TestBroker.withVirtualHost { url in
            try await withClient(url) { client in
                let replies = try await client.gather(target(nil), "m", deadline: .seconds(3))
                #expect(replies.isEmpty)
            }
        }
    }

    @Test func cancellationRemovesTheWaiterAtOnce() async throws {
        try await TestBroker.withVirtualHost { url in
            try await withClient(url) { client in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { _ = try await client.call(target("nobody"), "m", timeout: .seconds(50)) }
                    try await eventually { client.waiting == 1 }
                    group.cancelAll()
                    await #expect(throws: CancellationError.self) { try await group.next() }
                }
                #expect(client.waiting == 0)
            }
        }
    }

    @Test func targetsThatCannotBeCalledAreRefused() async throws {
        try await TestBroker.withVirtualHost { url in
            try await withClient(url) { client in
                let fanout = try await clientError { _ = try await client.call(target(nil, fanout: true), "m") }
                #expect(fanout?.code == .invalidTarget)
                let empty = try await clientError {
                    _ = try await client.call(RPCTarget(exchange: "nova", topic: ""), "m")
                }
                #expect(empty?.code == .invalidTarget)
                let unencodable = try await clientError {
                    _ = try await client.call(target(), "m", ["x": .double(.nan)])
                }
                #expect(unencodable?.code == .unencodable)
            }
        }
    }

    @Test func tooManyWaitingRequestsAreRefused() async throws {
        try await TestBroker.withVirtualHost { url in
            try await withClient(url, settings: RPCClientSettings(maximumWaiting: 1)) { client in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { _ = try? await client.call(target("nobody"), "m", timeout: .seconds(50)) }
                    try await eventually { client.waiting == 1 }
                    let error = try await clientError { _ = try await client.call(target("nobody"), "m") }
                    #expect(error?.code == .tooMany)
                    group.cancelAll()
                }
            }
        }
    }

    @Test func closingFailsWhatWaitsAndDeletesTheReplyQueueUnlessAnAnswerIsOwed() async throws {
        let broker = try #require(TestBroker.shared)
        try await broker.withVirtualHost { url in
            let virtualHost = try TransportURL(url).virtualHost
            try await withClient(url) { _ in
                let names = try await broker.queueNames(virtualHost: virtualHost)
                #expect(names.count == 1)
            }
            let afterwards = try await broker.queueNames(virtualHost: virtualHost)
            #expect(afterwards == [])
            try await withClient(url) { client in
                try await withThrowingTaskGroup(of: RPCClientError?.self) { group in
                    group.addTask {
                        try await clientError {
                            _ = try await client.call(target("nobody"), "m", timeout: .seconds(50))
                        }
                    }
                    try await eventually { client.waiting == 1 }
                    await client.close()
                    let error = try await group.next() ?? nil
                    #expect(error?.code == .closed)
                }
            }
            let owed = try await broker.queueNames(virtualHost: virtualHost)
            #expect(owed.count == 1)
        }
    }

    @Test func anUnreachableBrokerIsToldWithItsAddress() async throws {
        let options = ConnectionOptions(
            addresses: [BrokerAddress(host: "127.0.0.1", port: 1, user: "guest", password: Redacted("guest"))],
            connectionName: "test"
        )
        try await withRPCClient(connection: options, logger: quiet) { client in
            let ready = try await clientError { try await client.waitUntilReady(retry: 0) }
            #expect(ready?.code == .unreachable)
            #expect(ready?.message.contains("127.0.0.1:1") == true)
            let call = try await clientError { _ = try await client.call(target(), "m", retry: 1) }
            #expect(call?.code == .unreachable)
            let cast = try await clientError { try await client.cast(target(), "m", retry: 0) }
            #expect(cast?.code == .unreachable)
            let unsent = try await clientError {
                _ = try await client.call(target(), "m", timeout: .milliseconds(50))
            }
            #expect(unsent?.code == .unreachable)
        }
    }
}
