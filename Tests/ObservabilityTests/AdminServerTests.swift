import Foundation
import Glibc
import Logging
import Synchronization
import Testing

@testable import Observability

@Suite(.timeLimit(.minutes(5))) struct AdminServerTests {
    private static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    private static func answers(
        health: @escaping @Sendable () -> HealthVerdict = { .good },
        readiness: @escaping @Sendable () -> HealthVerdict = { .good }
    ) -> AdminAnswers {
        AdminAnswers(
            health: health,
            readiness: readiness,
            metrics: { "metric 1\n" },
            status: { #"{"hosts":["ä"]}"# }
        )
    }

    /// Runs the server while the body runs on a thread of its own, then cancels it and waits for its end.
    private func serving<Result: Sendable>(
        _ address: AdminAddress,
        _ answers: AdminAnswers = answers(),
        timeout: Duration = .seconds(10),
        _ body: @escaping @Sendable (AdminAddress) throws -> Result
    ) async throws -> Result {
        let server = try AdminServer(address: address, timeout: timeout, answers: answers, logger: Self.logger)
        let task = Task { try await server.run() }
        // The socket listens since the server was made: connecting needs no waiting.
        let address = server.address
        let result = await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(returning: Swift.Result { try body(address) })
            }
        }
        task.cancel()
        try await task.value
        return try result.get()
    }

    @Test func answersItsPathsOverTCP() async throws {
        let answers = try await serving(.tcp(host: "127.0.0.1", port: 0)) { address in
            try ["/healthz", "/readyz", "/metrics", "/status", "/nothing", "/healthz?x=1"].map {
                try HTTPClient.request("GET", $0, at: address)
            }
        }
        #expect(answers.map(\.status) == [200, 200, 200, 200, 404, 200])
        #expect(answers[0].body == "ok\n")
        #expect(answers[2].body == "metric 1\n")
        #expect(answers[2].headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8")
        #expect(answers[3].body == #"{"hosts":["ä"]}"#)
        #expect(answers[3].headers["content-type"] == "application/json")
        #expect(answers.allSatisfy { $0.headers["cache-control"] == "no-store" })
    }

    @Test func refusesOtherMethods() async throws {
        let answers = try await serving(.tcp(host: "127.0.0.1", port: 0)) { address in
            try [
                HTTPClient.request("POST", "/status", at: address, body: "x=1"),
                HTTPClient.request("DELETE", "/metrics", at: address),
                HTTPClient.request("HEAD", "/metrics", at: address),
            ]
        }
        #expect(answers.map(\.status) == [405, 405, 200])
        #expect(answers[0].headers["allow"] == "GET, HEAD")
        #expect(answers[2].body == "" && answers[2].headers["content-length"] == "9")
    }

    @Test func tellsWhyItIsNotReady() async throws {
        let isReady = Flag()
        let answers = Self.answers(readiness: {
            isReady.value.load(ordering: .relaxed) ? .good : .bad(reasons: ["broker: not connected", "draining"])
        })
        let (before, after) = try await serving(.tcp(host: "127.0.0.1", port: 0), answers) { address in
            let before = try HTTPClient.request("GET", "/readyz", at: address)
            isReady.value.store(true, ordering: .relaxed)
            return (before, try HTTPClient.request("GET", "/readyz", at: address))
        }
        #expect(before.status == 503 && before.body == "broker: not connected\ndraining\n")
        #expect(after.status == 200)
    }

    @Test func unixSocketIsPrivateAndGoesAway() async throws {
        let path = NSTemporaryDirectory() + "vmops-\(UUID().uuidString.prefix(8)).sock"
        let (answer, mode) = try await serving(.unix(path: path)) { address in
            let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
            return (try HTTPClient.request("GET", "/healthz", at: address), mode)
        }
        #expect(answer.status == 200)
        #expect(mode == 0o600)
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    @Test func takesOverAnAbandonedSocketOnly() async throws {
        let path = NSTemporaryDirectory() + "vmops-\(UUID().uuidString.prefix(8)).sock"
        defer { unlink(path) }
        let abandoned = try ListeningSocket(.unix(path: path))
        #expect(throws: ObservabilityError.self) { try ListeningSocket(.unix(path: path)) }
        close(try abandoned.takeDescriptor())
        let answer = try await serving(.unix(path: path)) { try HTTPClient.request("GET", "/healthz", at: $0) }
        #expect(answer.status == 200)
    }

    @Test func takenPortIsAnError() throws {
        let first = try ListeningSocket(.tcp(host: "127.0.0.1", port: 0))
        #expect { try ListeningSocket(first.address) } throws: { error in
            (error as? ObservabilityError)?.code == .address && "\(error)".contains("\(first.address)")
        }
    }

    @Test func nonsenseDoesNoHarm() async throws {
        let answer = try await serving(.tcp(host: "127.0.0.1", port: 0), timeout: .seconds(1)) { address in
            for text in [
                "\r\n\r\n\r\n", "GET\r\n\r\n", "\u{0}\u{1}\u{2}\r\n\r\n", String(repeating: "A", count: 100_000),
            ] {
                _ = try HTTPClient.exchange(text, at: address, thenEnd: true)
            }
            return try HTTPClient.request("GET", "/healthz", at: address)
        }
        #expect(answer.status == 200)
    }

    @Test func isStartedOnce() async throws {
        let server = try AdminServer(
            address: .tcp(host: "127.0.0.1", port: 0),
            answers: Self.answers(),
            logger: Self.logger
        )
        let task = Task { try await server.run() }
        task.cancel()
        try await task.value
        await #expect(throws: ObservabilityError.self) { try await server.run() }
    }
}

private final class Flag: Sendable {
    let value = Atomic(false)
}
