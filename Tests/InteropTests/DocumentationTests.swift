import Foundation
import Support
import TestSupport
import Testing

/// The examples for Python in the documents run as they stand there.
@Suite(.needsBroker, .needsPython, .timeLimit(.minutes(5)))
struct DocumentationTests {
    @Test(arguments: OsloVersion.allCases)
    func theProtocolsExampleRuns(version: OsloVersion) async throws {
        try await Interop.run(version, DaemonSettings(hosts: ["host-a"])) { interop in
            let spawned = try await interop.client.call("spawn", ["instance": NewInstance("web").argument])
            #expect(spawned.raised == nil)
            let printed = try await Self.run("docs/protocol.md", version, interop.daemon)
            #expect(printed.contains("'name': 'web'") && printed.contains("'state': 'running'"), "\(printed)")
        }
    }

    @Test(arguments: OsloVersion.allCases)
    func theReadmesExampleRuns(version: OsloVersion) async throws {
        try await Interop.run(version, DaemonSettings(hosts: ["host-a"])) { interop in
            let printed = try await Self.run("README.md", version, interop.daemon)
            #expect(printed.hasPrefix("running\n"), "\(printed)")
            try await eventually("the power-off that was cast") {
                let info = try await interop.client.call("get_info", ["instance": ["name": "web"]])
                return info.result?["state"] == "off"
            }
        }
    }

    /// Runs a document's example against a daemon and returns what it printed.
    private static func run(_ document: String, _ version: OsloVersion, _ daemon: DaemonProcess) async throws -> String
    {
        let example = try example(document)
        let ours = example.replacing("rabbit://guest:guest@127.0.0.1:5672/", with: daemon.url)
        #expect(ours != example)
        // As the text below the example says.
        let program =
            version == .v14_0_3
            ? ours.replacing("oslo_messaging.get_rpc_client(", with: "oslo_messaging.RPCClient(") : ours
        return try await runCommand(
            version.python,
            ["-W", "ignore", "-c", program],
            environment: ["OSLO_LOCK_PATH": daemon.directory]
        )
    }

    /// The indented block of a document that imports the library.
    private static func example(_ document: String) throws -> String {
        let file = Checkout.root.appending(path: document)
        let lines = try String(contentsOf: file, encoding: .utf8).split(
            separator: "\n",
            omittingEmptySubsequences: false
        )
        let start = try #require(lines.firstIndex { $0.hasPrefix("    from oslo_config") })
        let block = lines[start...].prefix { $0.isEmpty || $0.hasPrefix("    ") }
        return block.map { $0.dropFirst(4) }.joined(separator: "\n")
    }
}
