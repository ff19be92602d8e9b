import TestSupport
import Testing

/// What tests do to a broker reaches a real client of it.
@Suite(.timeLimit(.minutes(5))) struct BrokerControlTests {
    /// Consumes from a queue and tells in one line each what the broker does to it.
    private static let client = """
        import sys, threading, amqp
        host, vhost = sys.argv[1:]
        say = lambda text: print(text, flush=True)
        connection = amqp.Connection(host=host, virtual_host=vhost, userid="guest", password="guest",
                                     on_blocked=lambda reason: say("blocked"), on_unblocked=lambda: say("unblocked"))
        connection.connect()
        channel = connection.channel()
        channel.queue_declare("work", auto_delete=False)
        channel.basic_consume("work", callback=lambda message: say(message.body), on_cancel=lambda tag: say("cancelled"))
        say("ready")
        def serve():
            try:
                while True:
                    connection.drain_events()
            except (amqp.ConnectionError, OSError) as error:
                say("closed " + str(getattr(error, "code", "")))
        threading.Thread(target=serve, daemon=True).start()
        for line in sys.stdin:
            channel.basic_publish(amqp.Message(line.strip()), routing_key="work")
        """

    private func withClient(
        of broker: some BrokerControl,
        _ body: (_ virtualHost: String, LineProcess) async throws -> Void
    ) async throws {
        try await broker.withVirtualHost { url in
            let virtualHost = String(url.split(separator: "/").last ?? "")
            let arguments = ["-c", Self.client, "\(broker.host):\(broker.port)", virtualHost]
            try await LineProcess.run(OsloVersion.v18_3_1.python, arguments) { client in
                let line = try await client.readLine()
                #expect(line == "ready")
                try await body(virtualHost, client)
            }
        }
    }

    @Test(.enabled(if: TestBroker.isAvailable && PythonPeer.isAvailable, "\(TestBroker.missing)"))
    func queuesAreListedAndDeletedUnderTheirConsumer() async throws {
        let broker = try #require(TestBroker.shared)
        try await withClient(of: broker) { virtualHost, client in
            let names = try await broker.queueNames(virtualHost: virtualHost)
            #expect(names == ["work"])
            let echo = try await client.ask("hello")
            #expect(echo == "hello")
            try await broker.deleteQueue("work", virtualHost: virtualHost)
            let line = try await client.readLine()
            #expect(line == "cancelled")
        }
    }

    @Test(.enabled(if: TestBroker.isAvailable && PythonPeer.isAvailable, "\(TestBroker.missing)"))
    func connectionsOfOneVirtualHostAreClosed() async throws {
        let broker = try #require(TestBroker.shared)
        try await withClient(of: broker) { first, client in
            try await withClient(of: broker) { _, other in
                try await broker.closeConnections(virtualHost: first)
                let line = try await client.readLine()
                #expect(line == "closed 320")
                let echo = try await other.ask("still here")
                #expect(echo == "still here")
            }
        }
    }

    @Test(.enabled(if: PrivateBroker.isAvailable && PythonPeer.isAvailable))
    func publishersAreBlockedAndUnblocked() async throws {
        try await PrivateBroker.run { broker in
            try await withClient(of: broker) { _, client in
                try await broker.setPublishersBlocked(true)
                let blocked = try await client.ask("late")
                #expect(blocked == "blocked")
                try await broker.setPublishersBlocked(false)
                let lines = Set([try await client.readLine(), try await client.readLine()])
                #expect(lines == ["unblocked", "late"])
            }
        }
    }
}
