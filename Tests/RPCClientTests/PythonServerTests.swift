import OsloMessaging
import RPCClient
import Support
import TestSupport
import Testing

/// Our client and a real oslo.messaging server, of both versions.
@Suite(
    .enabled(if: TestBroker.isAvailable, Comment(rawValue: TestBroker.missing)),
    .enabled(if: PythonPeer.isAvailable, Comment(rawValue: PythonPeer.missing)),
    .timeLimit(.minutes(5))
) struct PythonServerTests {
    @Test(arguments: OsloVersion.allCases) func resultsOfEveryKindArrive(_ version: OsloVersion) async throws {
        try await TestBroker.withVirtualHost { url in
            try await withPythonServer(version, url) { _ in
                try await withClient(url) { client in
                    let values: [JSONValue] = [
                        .null, true, false, 0, .int(.max), .int(.min), .bigInteger("1180591620717411303424"), 0.1, "",
                        "übergrößer 🐧\u{0}", [], [:], ["a": [1, ["b": .null]]],
                    ]
                    for value in values {
                        let result = try await client.call(target(), "echo", ["value": value], timeout: .seconds(20))
                        #expect(result == value)
                    }
                    let odd = try await client.call(target(), "odd", timeout: .seconds(20))
                    #expect(odd["nan"]?.doubleValue?.isNaN == true)
                    #expect(odd["big"] == .bigInteger("1180591620717411303424"))
                    #expect(odd["nul"] == "a\u{0}b")
                    #expect(odd["float"] == 0.1)
                    #expect(odd["min"] == .int(.min))
                    #expect(client.waiting == 0)
                }
            }
        }
    }

    @Test(arguments: OsloVersion.allCases) func failuresOfEveryKindAreThrown(_ version: OsloVersion) async throws {
        try await TestBroker.withVirtualHost { url in
            try await withPythonServer(version, url) { _ in
                try await withClient(url) { client in
                    func fail(_ kind: JSONValue) async throws -> RemoteFailure? {
                        try await remoteFailure {
                            _ = try await client.call(target(), "fail", ["kind": kind], timeout: .seconds(20))
                        }
                    }
                    let value = try await fail("value")
                    #expect(value?.className == "ValueError")
                    #expect(value?.module == "builtins")
                    #expect(value?.args == ["bad value", 42])
                    #expect(value?.message == "('bad value', 42)")
                    let custom = try await fail("custom")
                    #expect(custom?.className == "Refused")
                    #expect(custom?.module == "__main__")
                    #expect(custom?.message == "no way")
                    #expect(custom?.kwargs == ["reason": "because"])
                    let chained = try await fail("chained")
                    #expect(chained?.className == "RuntimeError")
                    #expect(chained?.traceback.joined().contains("KeyError: 'missing'") == true)
                    let expected = try await remoteFailure {
                        _ = try await client.call(target(), "fail_as_expected", timeout: .seconds(20))
                    }
                    #expect(expected?.className == "LookupError")
                    let unknown = try await remoteFailure {
                        _ = try await client.call(target(), "nothing", timeout: .seconds(20))
                    }
                    #expect(unknown?.className == "NoSuchMethod")
                    let newer = try await remoteFailure {
                        _ = try await client.call(target(version: "1.4"), "who", timeout: .seconds(20))
                    }
                    #expect(newer?.className == "UnsupportedVersion")
                    let extra = try await remoteFailure {
                        _ = try await client.call(target(), "who", ["x": 1], timeout: .seconds(20))
                    }
                    #expect(extra?.className == "TypeError")
                }
            }
        }
    }

    @Test(arguments: OsloVersion.allCases)
    func theServerSeesArgumentsContextNamespaceAndVersion(_ version: OsloVersion) async throws {
        try await TestBroker.withVirtualHost { url in
            try await withPythonServer(version, url) { process in
                try await withClient(url) { client in
                    try await client.cast(
                        target(nil, version: "1.3"),
                        "echo",
                        ["value": "é", "more": [1, 2.5, .null]],
                        context: ["request_id": "req-1", "user": "ü"],
                        mandatory: true
                    )
                    let seen = try await process.readObject()
                    #expect(seen["method"] == "echo")
                    #expect(seen["args"] == ["value": "é", "more": [1, 2.5, .null]])
                    #expect(seen["context"]?["request_id"] == "req-1")
                    #expect(seen["context"]?["user"] == "ü")
                    let greeting = try await client.call(
                        target(namespace: "greetings", version: "2.0"),
                        "hello",
                        ["name": "wörld"],
                        timeout: .seconds(20)
                    )
                    #expect(greeting == "hello wörld")
                }
            }
        }
    }

    @Test(arguments: OsloVersion.allCases) func aFanOutIsAnsweredByEveryServer(_ version: OsloVersion) async throws {
        try await TestBroker.withVirtualHost { url in
            try await withPythonServer(version, url, server: "host-a") { first in
                try await withPythonServer(version, url, server: "host-b") { second in
                    try await withClient(url) { client in
                        let replies = try await client.gather(target(nil), "who", deadline: .seconds(30), expected: 2)
                        let names = try replies.map { try $0.get().stringValue ?? "" }
                        #expect(names.sorted() == ["host-a", "host-b"])
                        _ = try await (first.readLine(), second.readLine())
                        try await client.fanout(target(nil), "echo", ["value": 5])
                        let seen = try await (first.readObject(), second.readObject())
                        #expect(seen.0["args"] == ["value": 5])
                        #expect(seen.1["args"] == ["value": 5])
                        let failures = try await client.gather(
                            target(nil),
                            "nothing",
                            deadline: .seconds(30),
                            expected: 2
                        )
                        #expect(failures.count == 2)
                        for case .success in failures { Issue.record("a method that is not there has answered") }
                    }
                }
            }
        }
    }

    @Test(arguments: OsloVersion.allCases)
    func heartbeatsKeepAMonitoredCallAliveAndNotAnUnmonitoredOne(_ version: OsloVersion) async throws {
        try await TestBroker.withVirtualHost { url in
            try await withPythonServer(version, url) { process in
                try await withClient(url) { client in
                    // Longer than the monitor's four seconds: it lives by its heartbeats.
                    let result = try await client.call(
                        target(),
                        "slow",
                        ["seconds": 9],
                        timeout: .seconds(60),
                        monitorTimeout: .seconds(4)
                    )
                    #expect(result == "done")
                    _ = try await process.readLine()
                    // The call's own time is not extended by heartbeats.
                    let error = try await clientError {
                        _ = try await client.call(
                            target(),
                            "hold",
                            timeout: .seconds(4),
                            monitorTimeout: .seconds(2)
                        )
                    }
                    #expect(error?.code == .timeout)
                    try await process.send(#"{"op": "release"}"#)
                }
            }
        }
    }

    @Test(arguments: OsloVersion.allCases) func aLateReplyIsDroppedAndCounted(_ version: OsloVersion) async throws {
        try await TestBroker.withVirtualHost { url in
            try await withPythonServer(version, url) { process in
                try await withClient(url) { client in
                    let error = try await clientError {
                        _ = try await client.call(target(), "hold", ["value": 1], timeout: .seconds(1))
                    }
                    #expect(error?.code == .timeout)
                    #expect(client.waiting == 0)
                    _ = try await process.readLine()
                    try await process.send(#"{"op": "release"}"#)
                    try await eventually { client.droppedReplies == 1 }
                    // And it disturbs nobody else.
                    let next = try await client.call(target(), "echo", ["value": 2], timeout: .seconds(20))
                    #expect(next == 2)
                }
            }
        }
    }

    @Test func aCallOutlivesTheLossOfBothConnections() async throws {
        let broker = try #require(TestBroker.shared)
        try await broker.withVirtualHost { url in
            try await withPythonServer(.v18_3_1, url) { process in
                try await FaultProxy.run(to: broker) { proxy in
                    try await withClient(url, port: proxy.port) { client in
                        let result = try await withThrowingTaskGroup(of: JSONValue.self) { group in
                            group.addTask {
                                try await client.call(target(), "hold", ["value": 7], timeout: .seconds(60))
                            }
                            _ = try await process.readLine(timeout: .seconds(60))
                            try await proxy.cut()
                            try await process.send(#"{"op": "release"}"#)
                            return try await group.next()
                        }
                        #expect(result == 7)
                    }
                }
            }
        }
    }
}
