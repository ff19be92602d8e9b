import AMQPModel
import OsloMessaging
import Support
import Testing

/// oslo.messaging wire, section 13.
@Suite struct TransportURLTests {
    private func address(
        _ host: String = "localhost",
        _ port: Int = 5672,
        _ user: String = "guest",
        _ password: String = "guest"
    ) -> BrokerAddress {
        BrokerAddress(host: host, port: port, user: user, password: Redacted(password))
    }

    @Test(arguments: [
        ("rabbit://", "/"), ("rabbit:///vh", "vh"), ("rabbit://h", "/"), ("rabbit://h/", "/"), ("rabbit://h//", "/"),
        ("rabbit://h/%2F", "/"), ("rabbit://h/%2f", "/"), ("rabbit://h/vh", "vh"), ("rabbit://h/a%2Fb", "a/b"),
        ("rabbit://h/VhOst", "VhOst"), ("rabbit://h//a/b", "/a/b"), ("rabbit://h/vh#fragment", "vh"),
        ("rabbit://h/vh?ssl=1", "vh"), ("rabbit://h/%C3%A9", "é"), ("rabbit://h/100%", "100%"), ("RABBIT://h/v", "v"),
    ])
    func virtualHosts(_ url: String, _ expected: String) throws {
        #expect(try TransportURL(url).virtualHost == expected)
    }

    @Test func hostsAndPorts() throws {
        let table: [(String, [BrokerAddress])] = [
            ("rabbit://", [address()]),
            ("rabbit:///vh", [address()]),
            ("rabbit://h", [address("h")]),
            ("rabbit://HOST.Example/", [address("host.example")]),
            ("rabbit://h:5673/", [address("h", 5673)]),
            ("rabbit://h:/", [address("h")]),
            ("rabbit://h:0/", [address("h")]),
            ("rabbit://h/?ssl=1", [address("h")]),
            ("rabbit://[2001:db8::1]:5671/", [address("2001:db8::1", 5671)]),
            ("rabbit://[2001:DB8::1]/", [address("2001:db8::1")]),
            ("rabbit://u:p@[::1]:5671/", [address("::1", 5671, "u", "p")]),
            (
                "rabbit://u:p@h1:5672,v:q@h2:5673/",
                [address("h1", 5672, "u", "p"), address("h2", 5673, "v", "q")]
            ),
            ("rabbit://u:p@h1,h2/", [address("h1", 5672, "u", "p"), address("h2")]),
            ("rabbit://u:p@h1,,u:p@h2,/", [address("h1", 5672, "u", "p"), address("h2", 5672, "u", "p")]),
            ("rabbit://,/", [address()]),
            ("rabbit://u@x:p@h/", [address("h", 5672, "u@x", "p")]),
            ("rabbit://us@er:pa:ss@h/", [address("h", 5672, "us@er", "pa:ss")]),
            ("rabbit://us%40er:pa%3Ass%2F%25@h/", [address("h", 5672, "us@er", "pa:ss/%")]),
            ("rabbit://u@h/", [address("h", 5672, "u")]),
            ("rabbit://u:p@/", [address("localhost", 5672, "u", "p")]),
        ]
        for (url, expected) in table { #expect(try TransportURL(url).addresses == expected, "\(url)") }
    }

    @Test(arguments: [
        ("rabbit://h/?ssl=1&heartbeat_timeout_threshold=10", ["ssl=1", "heartbeat_timeout_threshold=10"]),
        ("rabbit://h/?a=1&b=2&a=3#x", ["a=1,3", "b=2"]), ("rabbit://h?a=x+y%2Bz", ["a=x y+z"]),
        ("rabbit://h/?", []), ("rabbit://h/?a=&b&c=1", ["c=1"]),
    ])
    func options(_ url: String, _ expected: [String]) throws {
        #expect(try TransportURL(url).options.map { "\($0.name)=\($0.value)" } == expected)
    }

    @Test(
        arguments: [
            ("", .scheme), ("h", .scheme), ("://h", .scheme), ("kombu+memory://", .scheme), ("amqp://h/", .scheme),
            ("kombu://h", .scheme), ("rabbit://h:abc/", .port), ("rabbit://h:70000/", .port), ("rabbit://h:-1/", .port),
            ("rabbit://u:p/w@h/", .port), ("rabbit://u:p#w@h/", .port), ("rabbit://u:p?w@h/", .port),
            ("rabbit://[::1/", .host), ("rabbit://[::1]x/", .host), ("rabbit://h1,u:secret@h2:x/", .port),
        ] as [(String, TransportURLError.Code)]
    )
    func errorsNameThePart(_ url: String, _ code: TransportURLError.Code) {
        do throws(TransportURLError) {
            _ = try TransportURL(url)
            Issue.record("parsed")
        } catch {
            #expect(error.code == code)
            #expect(!error.description.contains("secret"))
        }
    }

    @Test func credentialsThatAreNotInheritedGiveAWarning() throws {
        #expect(try TransportURL("rabbit://u:p@h1,h2/").warnings.count == 1)
        #expect(try TransportURL("rabbit://u:p@h1,u:p@h2/").warnings.isEmpty)
        #expect(try TransportURL("rabbit://h1,h2/").warnings.isEmpty)
    }

    @Test func thePasswordIsNotPrinted() throws {
        let url = try TransportURL("rabbit://user:hunter2@h1:5672/vh")
        #expect(url.addresses.first?.password.secret == "hunter2")
        var dumped = "\(url) \(String(reflecting: url))"
        dump(url, to: &dumped)
        #expect(!dumped.contains("hunter2"))
    }
}
