import OsloMessaging
import RPCClient
import Support
import Synchronization
import Testing

@testable import ControlClient

/// A console log on one of two hosts, as `console_read` shows it.
private final class FakeConsole: Sendable {
    struct State {
        var log: [UInt8] = []
        var first = 0
        var host: String? = "host-a"
        var marks: JSONValue = []
        var instanceState = "running"
        /// What happens at the next reads that wait, in this order; behind the last one the instance is gone.
        var script: [@Sendable (inout State) -> Void] = []
    }

    let state: Mutex<State>

    init(_ text: String, script: [@Sendable (inout State) -> Void] = []) {
        state = Mutex(State(log: Array(text.utf8), script: script))
    }

    func answer(_ request: FakeHosts.Request) throws -> JSONValue {
        try state.withLock { state in
            if request.method == "console_read", request.args["wait"]?.intValue ?? 0 > 0 {
                if state.script.isEmpty { state.host = nil } else { state.script.removeFirst()(&state) }
            }
            guard request.host == state.host else { throw notFound }
            switch request.method {
            case "get_info": return info(request.host, state.instanceState)
            case "console_marks": return state.marks
            default: return Self.read(state, request.args)
            }
        }
    }

    private static func read(_ state: State, _ args: JSONObject) -> JSONValue {
        let asked = Int(args["offset"]?.intValue ?? 0)
        let end = state.log.count
        let start = min(max(asked < 0 ? end + asked : asked, state.first), end)
        let stop = min(end, start + Int(args["max_bytes"]?.intValue ?? 0))
        return [
            "data": .string(Base64.encode(state.log[start..<stop])), "offset": .int(Int64(start)),
            "next_offset": .int(Int64(stop)), "first_offset": .int(Int64(state.first)), "end_offset": .int(Int64(end)),
        ]
    }

    func read(_ selection: ConsoleSelection) async throws -> (text: String, notices: [String]) {
        let hosts = FakeHosts(["host-a", "host-b"]) { try self.answer($0) }
        var bytes: [UInt8] = []
        var notices: [String] = []
        try await ConsoleReader(hosts.client(), InstanceReference("demo")).read(selection) {
            notices.append($0)
        } output: {
            bytes += $0.data
        }
        return (String(decoding: bytes, as: UTF8.self), notices)
    }
}

@Suite(.timeLimit(.minutes(5))) struct ConsoleReaderTests {
    @Test func allThatIsKeptIsReadExactly() async throws {
        let text = String(repeating: "a line of text\n", count: 50_000)
        let console = FakeConsole(text)
        #expect(try await console.read(ConsoleSelection()).text == text)
        console.state.withLock { $0.first = 15 }
        #expect(try await console.read(ConsoleSelection()).text == String(text.dropFirst(15)))
        #expect(try await FakeConsole("").read(ConsoleSelection()).text == "")
    }

    @Test(arguments: [
        ("1\n2\n3\n", 2, "2\n3\n"), ("1\n2\n3", 2, "2\n3"), ("1\n2\n", 5, "1\n2\n"), ("1\n\n\n", 2, "\n\n"),
        ("1\n2\n", 0, ""), ("", 3, ""), ("only", 1, "only"),
    ])
    func aTailIsTheLastLines(_ log: String, _ lines: Int, _ expected: String) async throws {
        #expect(try await FakeConsole(log).read(ConsoleSelection(tail: lines)).text == expected)
    }

    @Test func aTailMayBeLongerThanOneRead() async throws {
        let lines = (0..<60_000).map { "line \($0) of many" }
        let log = lines.joined(separator: "\n") + "\n"
        let expected = lines.suffix(50_000).joined(separator: "\n") + "\n"
        #expect(try await FakeConsole(log).read(ConsoleSelection(tail: 50_000)).text == expected)
    }

    @Test func sinceBootBeginsAtTheLatestBoot() async throws {
        let console = FakeConsole("old\nstop\nnew\nmore\n")
        console.state.withLock {
            $0.marks = [
                ["kind": "boot", "offset": 0, "time": 1.0], ["kind": "stop", "offset": 4, "time": 9.0],
                ["kind": "boot", "offset": 9, "time": 20.0], ["kind": "boot", "offset": 13, "time": 20.1],
            ]
        }
        #expect(try await console.read(ConsoleSelection(sinceBoot: true)).text == "new\nmore\n")
        #expect(try await console.read(ConsoleSelection(tail: 1, sinceBoot: true)).text == "more\n")
        #expect(try await console.read(ConsoleSelection(tail: 9, sinceBoot: true)).text == "new\nmore\n")
    }

    @Test func followingGoesOnWhereTheInstanceMovesTo() async throws {
        let console = FakeConsole(
            "one\n",
            script: [
                { $0.log += Array("two\n".utf8) },
                { $0.host = "host-b" },
                { $0.log += Array("three\n".utf8) },
                { _ in },
                { $0.log += Array("four\n".utf8) },
            ]
        )
        let (text, notices) = try await console.read(ConsoleSelection(follow: true))
        #expect(text == "one\ntwo\nthree\nfour\n")
        #expect(notices == ["demo is on host-b now", "instance demo is gone"])
    }

    @Test func aLogThatIsMovingAwayIsNotTakenForANewOne() async throws {
        let console = FakeConsole(
            "one\n",
            script: [
                // The source's files are removed before it forgets the instance.
                { $0.log = [] },
                {
                    $0.log = Array("one\ntwo\n".utf8)
                    $0.host = "host-b"
                },
                { _ in },
            ]
        )
        let (text, notices) = try await console.read(ConsoleSelection(follow: true))
        #expect(text == "one\ntwo\n")
        #expect(notices.first == "demo is on host-b now")
    }

    @Test func theLogOfAnInstanceThatIsBeingDestroyedIsNoNewOne() async throws {
        let empty: @Sendable (inout FakeConsole.State) -> Void = { state in
            state.log = []
            state.instanceState = "deleting"
        }
        let console = FakeConsole("one\n", script: [empty, empty, empty])
        let (text, notices) = try await console.read(ConsoleSelection(follow: true))
        #expect(text == "one\n")
        #expect(notices == ["instance demo is gone"])
    }

    @Test func aReallyNewLogIsReadFromItsBeginning() async throws {
        let console = FakeConsole(
            "a long old log\n",
            script: [{ $0.log = Array("new\n".utf8) }, { _ in }, { _ in }]
        )
        let (text, notices) = try await console.read(ConsoleSelection(follow: true))
        #expect(text == "a long old log\nnew\n")
        #expect(notices.first == "the console log of demo begins anew")
    }

    @Test func bytesThatAreNoLongerKeptAreSaid() async throws {
        let console = FakeConsole(
            "one\n",
            script: [
                {
                    $0.log += Array("lost\nkept\n".utf8)
                    $0.first = 9
                }
            ]
        )
        let (text, notices) = try await console.read(ConsoleSelection(follow: true))
        #expect(text == "one\nkept\n")
        #expect(notices.first == "5 bytes were no longer kept")
    }

    @Test func whatIsTypedIsSentOnceAndFollowsTheInstance() async throws {
        let place = Mutex<(host: String, refusals: Int)>(("host-a", 0))
        let hosts = FakeHosts(["host-a", "host-b"]) { request in
            try place.withLock { place in
                guard request.host == place.host else { throw notFound }
                if request.method == "console_write", place.refusals > 0 {
                    place.refusals -= 1
                    throw RemoteFailure(className: "InstanceInvalidState", module: nil, message: "it is off")
                }
                return request.method == "get_info" ? info(request.host, "running") : .null
            }
        }
        let typing = ConsoleTyping(hosts.client(), InstanceReference("demo"))
        #expect(try await typing.type(Array("one".utf8)) == nil)
        place.withLock { $0.host = "host-b" }
        #expect(try await typing.type(Array("two".utf8)) == nil)
        place.withLock { $0.refusals = 1 }
        #expect(try await typing.type(Array("lost".utf8)) == "it is off")
        #expect(try await typing.type([UInt8](repeating: 0x61, count: 5000)) == nil)
        let sent = hosts.requests.filter { $0.method == "console_write" }.map { request in
            (request.host, Base64.decode(request.args["data"]?.stringValue ?? "")?.count)
        }
        #expect(sent.map(\.0) == ["host-a", "host-a", "host-b", "host-b", "host-b", "host-b"])
        #expect(sent.map(\.1) == [3, 3, 3, 4, 4096, 904])
    }
}
