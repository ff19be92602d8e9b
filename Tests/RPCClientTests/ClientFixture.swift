import AMQPModel
import JSONCodec
import Logging
import OsloMessaging
import RPCClient
import Support
import TestSupport

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

extension ConnectionOptions {
    /// Options for a transport URL as the broker fixtures give it.
    init(url: String, port: Int? = nil) throws {
        let parsed = try TransportURL(url)
        var addresses = parsed.addresses
        if let port { for index in addresses.indices { addresses[index].port = port } }
        self.init(
            addresses: addresses,
            virtualHost: parsed.virtualHost,
            connectionName: "test:\(UniqueID.make())"
        )
    }
}

/// Runs a client that is connected while `body` runs.
func withClient<Value: Sendable>(
    _ url: String,
    port: Int? = nil,
    settings: RPCClientSettings = RPCClientSettings(),
    _ body: (RPCClient) async throws -> Value
) async throws -> Value {
    try await withRPCClient(
        connection: ConnectionOptions(url: url, port: port),
        settings: settings,
        logger: quiet
    ) { client in
        try await client.waitUntilReady()
        return try await body(client)
    }
}

func target(
    _ server: String? = "host-a",
    fanout: Bool = false,
    namespace: String? = nil,
    version: String? = nil
) -> RPCTarget {
    RPCTarget(
        exchange: "nova",
        topic: "compute",
        server: server,
        fanout: fanout,
        namespace: namespace,
        version: version
    )
}

/// Runs `Tests/Peers/rpc_server.py`, serving, while `body` runs.
func withPythonServer<Value: Sendable>(
    _ version: OsloVersion,
    _ url: String,
    server: String = "host-a",
    _ body: (LineProcess) async throws -> Value
) async throws -> Value {
    try await PythonPeer.run("rpc_server.py", ["--url", url, "--server", server], version: version) { process in
        _ = try await process.readLine(timeout: .seconds(60))
        return try await body(process)
    }
}

extension LineProcess {
    func readObject() async throws -> JSONValue { try JSONReader.read(Array(try await readLine().utf8)) }
}

/// The error that an RPC client raises in `body`.
func clientError(_ body: () async throws -> Void) async throws -> RPCClientError? {
    do {
        try await body()
        return nil
    } catch let error as RPCClientError {
        return error
    }
}

/// The failure that a remote method raises in `body`.
func remoteFailure(_ body: () async throws -> Void) async throws -> RemoteFailure? {
    do {
        try await body()
        return nil
    } catch let failure as RemoteFailure {
        return failure
    }
}
