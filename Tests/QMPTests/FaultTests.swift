import Glibc
import Logging
import QMP
import Support
import TestSupport
import Testing

/// The session against monitors that do what QEMU does not.
@Suite(.timeLimit(.minutes(5))) struct FaultTests {
    private static func connect(
        _ path: String,
        deadline: Duration = .seconds(20)
    ) async throws -> QMPSession {
        try await QMPSession.connect(
            path: path,
            reactor: try Reactor(name: "qmp-fault"),
            deadline: deadline,
            logger: Logger(label: "test")
        )
    }

    private static func withSession<Result>(
        _ body: (QMPSession, FakePeer) async throws -> Result
    ) async throws -> Result {
        try await withTemporaryDirectory { directory in
            let monitor = try FakeMonitor(directory + "/qmp.sock")
            async let peer = monitor.acceptAndGreet()
            let session = try await connect(monitor.path)
            return try await body(session, try await peer)
        }
    }

    private static func error(of session: QMPSession, _ command: String) async -> QMPError? {
        do throws(QMPError) {
            _ = try await session.execute(command, deadline: .seconds(120))
            return nil
        } catch {
            return error
        }
    }

    /// The error of a connection to a monitor that does `play` with its client.
    private static func failure(
        deadline: Duration = .seconds(20),
        _ play: @escaping @Sendable (FakePeer) async throws -> Void
    ) async throws -> QMPError? {
        try await withTemporaryDirectory { directory in
            let monitor = try FakeMonitor(directory + "/qmp.sock")
            async let played: FakePeer = {
                let peer = try await monitor.accept()
                try await play(peer)
                return peer
            }()
            let error = await #expect(throws: QMPError.self) { try await connect(monitor.path, deadline: deadline) }
            _ = try await played
            return error
        }
    }

    @Test func nobodyListens() async throws {
        try await withTemporaryDirectory { directory in
            for path in [directory + "/none", directory + "/" + String(repeating: "x", count: 120)] {
                let error = await #expect(throws: QMPError.self) { try await Self.connect(path) }
                #expect(error?.code == .unreachable)
            }
            let listener = try UnixListener.open(directory + "/dead", backlog: 1)
            close(listener)
            let error = await #expect(throws: QMPError.self) { try await Self.connect(directory + "/dead") }
            #expect(error?.code == .unreachable)
        }
    }

    @Test func aFullListenerIsWaitedFor() async throws {
        try await withTemporaryDirectory { directory in
            let monitor = try FakeMonitor(directory + "/qmp.sock", backlog: 0)
            async let first = Self.connect(monitor.path)
            async let second = Self.connect(monitor.path)
            async let third = Self.connect(monitor.path)
            var peers: [FakePeer] = []
            for _ in 0..<3 { peers.append(try await monitor.acceptAndGreet()) }
            let sessions = try await [first, second, third]
            #expect(sessions.filter { !$0.isOpen }.isEmpty)
        }
    }

    @Test func noGreetingInTimeIsUnreachable() async throws {
        #expect(try await Self.failure(deadline: .milliseconds(100)) { _ in }?.code == .unreachable)
    }

    @Test func whoHangsUpInsteadOfGreetingHasClosed() async throws {
        #expect(try await Self.failure { $0.hangUp() }?.code == .closed)
    }

    @Test(
        arguments: [
            "SSH-2.0-OpenSSH_9.2", "{\"QMP\": 1}", "[]", "{}", #"{"return": {}, "id": 0}"#, "{\"QMP\": {", "\u{0}",
        ]
    )
    func aWrongGreetingIsAViolation(_ greeting: String) async throws {
        #expect(try await Self.failure { try $0.send(greeting) }?.code == .protocolViolation)
    }

    @Test func anEventBeforeTheGreetingIsAnEvent() async throws {
        try await withTemporaryDirectory { directory in
            let monitor = try FakeMonitor(directory + "/qmp.sock")
            async let session = Self.connect(monitor.path)
            let peer = try await monitor.accept()
            try peer.send(#"{"event": "RESUME", "timestamp": {"seconds": 5, "microseconds": 7}}"#)
            try peer.send(FakeMonitor.greeting)
            _ = try await peer.line()
            try peer.send(#"{"return": {}, "id": 0}"#)
            #expect(try await session.isOpen)
        }
    }

    @Test(
        arguments: [
            "garbage", "[1]", #"{"return": {}}"#, #"{"return": {}, "id": 99}"#, #"{"return": {}, "id": "one"}"#,
            #"{"return": {}, "id": 0}"#, #"{"return": {}, "id": -1}"#, #"{"id": 1}"#, #"{"error": {}, "id": 1}"#,
            #"{"error": {"class": "GenericError", "desc": "Invalid JSON syntax"}}"#, #"{"event": 5}"#,
            #"{"event": "STOP", "timestamp": {"seconds": 9223372036854775807, "microseconds": 0}}"#,
        ]
    )
    func garbageEndsTheSession(_ line: String) async throws {
        try await Self.withSession { session, peer in
            async let answer = Self.error(of: session, "query-status")
            _ = try await peer.line()
            try peer.send(line)
            let error = await answer
            #expect(error?.code == .protocolViolation)
            #expect(!session.isOpen)
            for await _ in session.events {}
        }
    }

    @Test func anAnswerWithoutACommandIsAViolation() async throws {
        try await Self.withSession { session, peer in
            try peer.send(#"{"return": {}, "id": 1}"#)
            for await _ in session.events {}
            let error = await #expect(throws: QMPError.self) { try await session.execute("query-status") }
            #expect(error?.code == .protocolViolation)
        }
    }

    @Test func aLineWithoutEndIsAViolation() async throws {
        try await Self.withSession { session, peer in
            async let answer = Self.error(of: session, "query-block")
            _ = try await peer.line()
            let piece = String(repeating: "x", count: 1 << 20)
            do {
                // A line end after each piece would make lines of it.
                for _ in 0..<17 { try peer.sendPiece(piece) }
            } catch {
                // The session ended before all of it was sent.
            }
            let error = await answer
            #expect(error?.code == .protocolViolation)
        }
    }

    @Test func answersFindTheirCommandsWhateverTheOrder() async throws {
        try await Self.withSession { session, peer in
            async let first = session.execute("first")
            let one = try await peer.line()
            async let second = session.execute("second", ["key": "value"])
            let two = try await peer.line()
            #expect(one == #"{"execute":"first","id":1}"#)
            #expect(two == #"{"execute":"second","arguments":{"key":"value"},"id":2}"#)
            try peer.send(#"{"return": "b", "id": 2}"#)
            try peer.send(#"{"event": "STOP", "timestamp": {"seconds": 5, "microseconds": 7}}"#)
            try peer.send(#"{"return": "a", "id": 1}"#)
            let answers = try await [first, second]
            #expect(answers == ["a", "b"])
            var events = session.events.makeAsyncIterator()
            #expect(await events.next() == QMPEvent(name: "STOP", data: [:], microseconds: 5_000_007))
        }
    }

    @Test func aCancelledCommandIsOwedItsAnswer() async throws {
        try await Self.withSession { session, peer in
            let error = await withTaskGroup(of: QMPError?.self) { group in
                group.addTask { await Self.error(of: session, "slow") }
                _ = try? await peer.line()
                group.cancelAll()
                return await group.next() ?? nil
            }
            #expect(error?.code == .cancelled)
            try peer.send(#"{"return": {}, "id": 1}"#)
            async let next = session.execute("next")
            _ = try await peer.line()
            try peer.send(#"{"return": 5, "id": 2}"#)
            let value = try await next
            #expect(value == 5)
        }
    }

    @Test func aMonitorThatDoesNotReadHoldsNobodyUp() async throws {
        try await Self.withSession { session, peer in
            let text = String(repeating: "y", count: 1 << 20)
            var codes: [QMPError.Code] = []
            for _ in 0..<8 {
                do throws(QMPError) {
                    _ = try await session.execute("load", ["text": .string(text)], deadline: .milliseconds(10))
                } catch {
                    codes.append(error.code)
                }
            }
            #expect(codes == Array(repeating: .timeout, count: 8))
            // What was accepted comes whole once the monitor reads again; the rest was never sent.
            var lines = 0
            for _ in 0..<4 where try await peer.line().hasSuffix("}") { lines += 1 }
            #expect(lines == 4)
            async let answer = session.execute("last")
            var last = try await peer.line()
            while !last.contains("last") { last = try await peer.line() }
            let id = try #require(last.firstMatch(of: /"id":(\d+)/)?.1)
            try peer.send(#"{"return": "done", "id": \#(id)}"#)
            let value = try await answer
            #expect(value == "done")
        }
    }

    @Test func closingFailsWhoWaits() async throws {
        try await Self.withSession { session, peer in
            async let answer = Self.error(of: session, "slow")
            _ = try await peer.line()
            session.close()
            let error = await answer
            #expect(error?.code == .closed)
            await #expect(throws: (any Error).self) { try await peer.line() }
        }
    }

    @Test func hangUpsOfBothKindsAreOneEnd() async throws {
        for reset in [false, true] {
            try await Self.withSession { session, peer in
                async let answer = Self.error(of: session, "slow")
                // A socket that is closed with unread input answers with a reset.
                if !reset { _ = try await peer.line() }
                peer.hangUp()
                let error = await answer
                #expect(error?.code == .closed)
            }
        }
    }
}
