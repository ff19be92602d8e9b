import OsloMessaging
import Support
import Testing

/// oslo.messaging wire, section 10.
@Suite struct RPCDispatcherTests {
    private struct Endpoint: RPCEndpoint {
        var namespace: String?
        var legacyNamespaces: [String?] = []
        var version: String
        var names: Set<String>

        func method(named name: String) -> RemoteMethod? {
            names.contains(name) ? RemoteMethod(name, .inline { _ in .string("\(version)") }) : nil
        }
    }

    private let dispatcher = RPCDispatcher(endpoints: [
        Endpoint(namespace: nil, version: "1.5", names: ["a", "_private", "__class__"]),
        Endpoint(namespace: nil, version: "6.2", names: ["a", "b"]),
        Endpoint(namespace: "control", legacyNamespaces: ["old", nil], version: "2.1", names: ["info"]),
        Endpoint(namespace: nil, version: "6.4", names: ["c"]),
        PingEndpoint(),
    ])

    private func outcome(_ method: String, _ version: String?, _ namespace: String? = nil) throws -> String {
        let request = RPCRequest(method: method, namespace: namespace, version: version, uniqueID: nil)
        switch dispatcher.resolve(request) {
        case .failure(let failure): return failure.className
        case .success(let method):
            guard case .inline(let body) = method.handler else { return "not inline" }
            return try body(request).stringValue ?? ""
        }
    }

    @Test(
        arguments: [
            ("a", "1.0", nil, "1.5"), ("a", nil, nil, "1.5"), ("a", "6.0", nil, "6.2"), ("b", "6.2", nil, "6.2"),
            ("c", "6.3", nil, "6.4"), ("a", "6.3", nil, "NoSuchMethod"), ("c", "6.5", nil, "UnsupportedVersion"),
            ("b", "1.0", nil, "NoSuchMethod"), ("a", "7.0", nil, "UnsupportedVersion"),
            ("info", "2.0", "control", "2.1"), ("info", "2.1", "old", "2.1"), ("info", "2.1", nil, "2.1"),
            ("info", "2.2", "control", "UnsupportedVersion"), ("info", "2.0", "", "UnsupportedVersion"),
            ("info", "2.0", "unknown", "UnsupportedVersion"), ("_private", "1.0", nil, "NoSuchMethod"),
            ("__class__", "1.0", nil, "NoSuchMethod"), ("", "1.0", nil, "NoSuchMethod"),
            ("oslo_rpc_server_ping", "1.0", nil, "pong"), ("oslo_rpc_server_ping", nil, nil, "pong"),
            ("a", "1", nil, "IndexError"), ("a", "one.two", nil, "ValueError"),
            ("a", "1", "nowhere", "UnsupportedVersion"),
        ] as [(String, String?, String?, String)]
    )
    func choosesAsPythonDoes(_ method: String, _ version: String?, _ namespace: String?, _ expected: String) throws {
        #expect(try outcome(method, version, namespace) == expected)
    }

    @Test func failuresNameMethodAndVersion() {
        let request = RPCRequest(method: "gone", namespace: "nowhere", uniqueID: nil)
        guard case .failure(let failure) = dispatcher.resolve(request) else {
            Issue.record("resolved")
            return
        }
        #expect(failure == .unsupportedVersion("1.0", method: "gone"))
    }

    @Test func withoutPingEndpointThereIsNoPing() {
        let dispatcher = RPCDispatcher(endpoints: [Endpoint(namespace: nil, version: "1.0", names: [])])
        let request = RPCRequest(method: PingEndpoint.methodName, uniqueID: nil)
        guard case .failure(let failure) = dispatcher.resolve(request) else {
            Issue.record("resolved")
            return
        }
        #expect(failure == .noSuchMethod("oslo_rpc_server_ping"))
    }
}
