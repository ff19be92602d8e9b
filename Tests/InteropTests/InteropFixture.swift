import Foundation
import Support
import TestSupport
import Testing

/// A running `vmopsd` and a real oslo.messaging client of it, on a virtual host of their own.
struct Interop: Sendable {
    let daemon: DaemonProcess
    let client: OsloClient

    /// Where the Python client finds a `nova.exception` to rebuild failures with.
    static let novaClasses: [String: String?] = ["PYTHONPATH": Checkout.peers.appending(path: "fakes").path]

    static func run<Result: Sendable>(
        _ version: OsloVersion,
        _ settings: DaemonSettings = DaemonSettings(),
        clientOptions: [String] = [],
        _ body: @escaping @Sendable (Interop) async throws -> Result
    ) async throws -> Result {
        try await DaemonProcess.run(settings) { daemon in
            try await OsloClient.run(
                version,
                url: daemon.url,
                options: clientOptions,
                environment: novaClasses
            ) { client in
                try await body(Interop(daemon: daemon, client: client))
            }
        }
    }
}

/// What `spawn` takes as `instance`.
struct NewInstance: Sendable {
    let uuid = UUID().uuidString.lowercased()
    var name: String
    var more: JSONObject = [:]

    init(_ name: String = "web", _ more: JSONObject = [:]) {
        self.name = name
        self.more = more
    }

    var argument: JSONValue {
        var object: JSONObject = [
            "uuid": .string(uuid), "name": .string(name), "memory_mb": 64, "vcpus": 1, "root_gb": 0,
        ]
        for (key, value) in more { object[key] = value }
        return .object(object)
    }

    /// What every other method takes.
    var reference: JSONValue { ["uuid": .string(uuid)] }
}

extension Trait where Self == ConditionTrait {
    static var needsBroker: Self { .enabled(if: TestBroker.isAvailable, "\(TestBroker.missing)") }
    static var needsPython: Self { .enabled(if: PythonPeer.isAvailable, "\(PythonPeer.missing)") }
    static var needsPrivateBroker: Self {
        .enabled(if: PrivateBroker.isAvailable, "needs RabbitMQ, which 'make setup' installs")
    }
}
