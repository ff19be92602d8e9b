import AMQPModel
import Foundation
import Logging
import Support
import Synchronization
import TestSupport
import Testing

@testable import AMQPTransport

/// Beginning and end of sessions.
@Suite(.enabled(if: TestBroker.isAvailable, "\(TestBroker.missing)"), .timeLimit(.minutes(5)))
struct SessionLifeTests {
    private func session(
        _ url: String,
        settings: SessionSettings = SessionSettings(),
        handler: any DeliveryHandler = Recorder()
    ) throws -> BrokerSession {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        return BrokerSession(options: try .url(url), settings: settings, handler: handler, logger: logger)
    }

    @Test func closingConfirmsWhatWasPublishedAndDeletesOwnQueues() async throws {
        let broker = try #require(TestBroker.shared)
        let name = "test-\(UniqueID.make())"
        try await broker.withVirtualHost(named: name) { url in
            var settings = SessionSettings()
            settings.deleteOnClose = ["own"]
            settings.topology = queueTopology("own") + queueTopology("shared", tag: "2", consume: false)
            let session = try session(url, settings: settings)
            let confirmed = Mutex(0)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await session.run() }
                try await session.waitUntilReady()
                for number in 0..<5000 {
                    session.publish(.to(queue: "shared", "\(number)")) { outcome in
                        if outcome == .confirmed { confirmed.withLock { $0 += 1 } }
                    }
                }
                await session.close(draining: .seconds(30))
                #expect(confirmed.withLock { $0 } == 5000)
                try await group.waitForAll()
            }
            #expect(try await broker.queueNames(virtualHost: name) == ["shared"])
            #expect(session.status.consuming.state == .closed)
        }
    }

    @Test func nothingIsTakenAfterStoppingAndPublishingGoesOn() async throws {
        try await TestBroker.withVirtualHost { url in
            let recorder = Recorder()
            try await withSession(.url(url), topology: queueTopology("q"), handler: recorder) { session async throws in
                await session.stopConsuming()
                #expect(try await session.publish(.to(queue: "q", "for the next one")) == .confirmed)
                #expect(recorder.deliveries.isEmpty)
            }
            let next = Recorder()
            try await withSession(.url(url), topology: queueTopology("q"), handler: next) { _ in
                try await eventually { next.bodies == ["for the next one"] }
            }
        }
    }

    @Test func topologyCanBeAddedAndRemovedAtRunTime() async throws {
        let broker = try #require(TestBroker.shared)
        let name = "test-\(UniqueID.make())"
        try await broker.withVirtualHost(named: name) { url in
            let recorder = Recorder()
            try await withSession(.url(url), topology: queueTopology("a"), handler: recorder) { session in
                let more = queueTopology("b", tag: "2")
                try await session.declare(more)
                #expect(try await session.publish(.to(queue: "b", "1")) == .confirmed)
                try await eventually { recorder.deliveries.map(\.consumerTag) == ["2"] }
                session.remove(more, deletingQueues: ["b"])
                try await eventually { try await broker.queueNames(virtualHost: name) == ["a"] }
                try await broker.closeConnections(virtualHost: name)
                try await eventually { recorder.losses == 2 && session.status.isReady }
                #expect(try await broker.queueNames(virtualHost: name) == ["a"])
            }
        }
    }

    @Test func threeThousandQueuesAreDeclaredAndConsumed() async throws {
        try await TestBroker.withVirtualHost { url in
            let topology = (0..<1000).flatMap { host -> [TopologyStep] in
                queueTopology("compute.host-\(host)", tag: "\(host)")
            }
            let recorder = Recorder()
            try await withSession(.url(url), topology: topology, handler: recorder) { session in
                _ = try await session.publish(.to(queue: "compute.host-999", "x"))
                try await eventually { recorder.deliveries.first?.consumerTag == "999" }
            }
        }
    }

    @Test func aSecondRunIsRefused() async throws {
        try await TestBroker.withVirtualHost { url in
            try await withSession(.url(url), handler: Recorder()) { session in
                _ = await #expect(throws: TransportError.self) { try await session.run() }
            }
        }
    }

    @Test func afterTheEndEveryCallAnswersAtOnce() async throws {
        try await TestBroker.withVirtualHost { url in
            let session = try session(url)
            await session.close(draining: .seconds(1))
            await #expect(throws: TransportError.self) { try await session.run() }
            await #expect(throws: TransportError.self) { try await session.waitUntilReady() }
            await #expect(throws: TransportError.self) { try await session.declare(queueTopology("q")) }
            await session.stopConsuming()
            await session.close(draining: .seconds(1))
            #expect(try await session.publish(.to(queue: "q", "x")) == .failed("session closed"))
        }
    }

    @Test func waitingForReadinessCanBeCancelled() async throws {
        let nowhere = try ConnectionOptions.url("rabbit://guest:guest@127.0.0.1:1/")
        try await withSession(nowhere, handler: Recorder(), ready: false) { session in
            await withTaskGroup(of: Bool.self) { group in
                group.addTask {
                    do {
                        try await session.waitUntilReady()
                        return false
                    } catch { return error is CancellationError }
                }
                group.cancelAll()
                #expect(await group.next() == true)
            }
        }
    }

    @Test func aCancelledSessionFailsWhatWaitsAndReturnsItsDeliveries() async throws {
        try await TestBroker.withVirtualHost { url in
            let first = Recorder { _ in nil }
            var settings = SessionSettings()
            settings.topology = queueTopology("q")
            let session = try session(url, settings: settings, handler: first)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await session.run() }
                try await session.waitUntilReady()
                _ = try await session.publish(.to(queue: "q", "x"))
                try await eventually { first.deliveries.count == 1 }
                group.cancelAll()
                await #expect(throws: CancellationError.self) { try await group.waitForAll() }
            }
            let second = Recorder()
            try await withSession(.url(url), topology: queueTopology("q"), handler: second) { _ in
                try await eventually { second.deliveries.map(\.redelivered) == [true] }
            }
        }
    }

    /// In a process of its own, so that other tests' threads and descriptors do not count.
    @Test func aSessionLeavesNoThreadAndNoDescriptor() async throws {
        await #expect(processExitsWith: .success) {
            @Sendable func names(_ path: String) throws -> [String] {
                try FileManager.default.contentsOfDirectory(atPath: path)
            }
            @Sendable func ioThreads() throws -> Int {
                try names("/proc/self/task").count { task in
                    let name = try? String(contentsOfFile: "/proc/self/task/\(task)/comm", encoding: .utf8)
                    return name?.hasPrefix("amqp-") == true
                }
            }
            let broker = try #require(TestBroker.shared)
            @Sendable func once(cancelled: Bool) async throws {
                let session = BrokerSession(
                    options: try .url(broker.url),
                    settings: SessionSettings(),
                    handler: Recorder(),
                    logger: Logger(label: "test")
                )
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await session.run() }
                    try await session.waitUntilReady()
                    #expect(try ioThreads() == 1)
                    if cancelled { group.cancelAll() } else { await session.close(draining: .seconds(5)) }
                    try? await group.waitForAll()
                }
                #expect(try ioThreads() == 0)
            }
            try await once(cancelled: false)
            let before = try names("/proc/self/fd").count
            for round in 0..<6 { try await once(cancelled: round % 2 == 0) }
            #expect(try names("/proc/self/fd").count == before)
        }
    }
}
