import TestSupport
import Testing

@Suite(.enabled(if: TestBroker.isAvailable, "\(TestBroker.missing)"), .timeLimit(.minutes(5)))
struct FaultProxyTests {
    /// Connects, sends lines' worth of AMQP header on demand, and tells how many bytes came or how it broke.
    private static let client = """
        import socket, sys
        connection = None
        for line in sys.stdin:
            try:
                if line == "connect\\n":
                    connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20)
                    print("connected", flush=True)
                elif line == "hello\\n":
                    connection.sendall(b"AMQP\\0\\0\\x09\\x01")
                    print("sent", flush=True)
                elif line == "read\\n":
                    print("answer" if connection.recv(8) else "end", flush=True)
                elif line == "poll\\n":
                    connection.settimeout(0.05)
                    try:
                        print("answer" if connection.recv(8) else "end", flush=True)
                    except TimeoutError:
                        print("nothing", flush=True)
                    connection.settimeout(20)
            except ConnectionError as error:
                print(type(error).__name__, flush=True)
        """

    private func withClient(_ body: (FaultProxy, LineProcess) async throws -> Void) async throws {
        let broker = try #require(TestBroker.shared)
        try await FaultProxy.run(to: broker) { proxy in
            try await LineProcess.run("python3", ["-c", Self.client, "\(proxy.port)"]) { client in
                try await body(proxy, client)
            }
        }
    }

    @Test func bytesPassAndAreCounted() async throws {
        try await withClient { proxy, client in
            #expect(try await client.ask("connect") == "connected")
            #expect(try await client.ask("hello") == "sent")
            #expect(try await client.ask("read") == "answer")
            let statistics = try await proxy.statistics()
            #expect(statistics.bytesToBroker == 8)
            #expect(statistics.bytesToClient > 8)
            #expect(statistics.open == 1)
        }
    }

    @Test func cutResetsConnectionsAndTakesNewOnes() async throws {
        try await withClient { proxy, client in
            #expect(try await client.ask("connect") == "connected")
            try await eventually { try await proxy.statistics().open == 1 }
            try await proxy.cut()
            #expect(try await client.ask("read") == "ConnectionResetError")
            #expect(try await proxy.statistics().open == 0)
            #expect(try await client.ask("connect") == "connected")
            _ = try await client.ask("hello")
            #expect(try await client.ask("read") == "answer")
        }
    }

    /// Clients that are back at once, as good ones are, do not keep it busy for ever.
    @Test func cutEndsThoughEverybodyComesBack() async throws {
        let clients = """
            import socket, sys, threading
            def again():
                while True:
                    try:
                        socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20).recv(8)
                    except OSError:
                        pass
            for _ in range(16):
                threading.Thread(target=again, daemon=True).start()
            print("ready", flush=True)
            sys.stdin.read()
            """
        let broker = try #require(TestBroker.shared)
        try await FaultProxy.run(to: broker) { proxy in
            try await LineProcess.run("python3", ["-c", clients, "\(proxy.port)"]) { process in
                #expect(try await process.readLine() == "ready")
                for _ in 0..<20 {
                    let before = try await proxy.statistics().accepted
                    try await proxy.cut()
                    try await eventually { try await proxy.statistics().accepted > before }
                }
            }
        }
    }

    @Test func aFrozenProxyHoldsBytesBack() async throws {
        try await withClient { proxy, client in
            #expect(try await client.ask("connect") == "connected")
            try await proxy.freeze()
            _ = try await client.ask("hello")
            #expect(try await client.ask("poll") == "nothing")
            #expect(try await proxy.statistics().bytesToBroker == 0)
            try await proxy.resume()
            #expect(try await client.ask("read") == "answer")
        }
    }

    @Test func aFrozenProxyCanBeCut() async throws {
        try await withClient { proxy, client in
            #expect(try await client.ask("connect") == "connected")
            try await proxy.freeze()
            _ = try await client.ask("hello")
            try await proxy.cut()
            #expect(try await client.ask("read") == "ConnectionResetError")
        }
    }

    @Test func refusedConnectionsAreTakenLaterOnTheSamePort() async throws {
        try await withClient { proxy, client in
            try await proxy.refuse()
            #expect(try await client.ask("connect") == "ConnectionRefusedError")
            try await proxy.accept()
            #expect(try await client.ask("connect") == "connected")
        }
    }
}
