import AMQPModel
import Configuration
import ControlClient
import Glibc
import Logging
import OsloMessaging
import RPCClient
import Support

/// From options to a compute service that can be asked.
struct Connection {
    private static let connectLimit = Duration.seconds(15)

    private let common: CommonOptions
    private let timeout: Duration?

    init(_ common: CommonOptions, timeout: Double?) {
        self.common = common
        self.timeout = timeout.map { .seconds($0) }
    }

    /// Connects, runs `body`, and says goodbye.
    ///
    /// - Throws: also when the broker cannot be reached, with the address and the reason.
    func run<Value: Sendable>(_ body: @Sendable (ComputeClient) async throws -> Value) async throws -> Value {
        let settings = try settings()
        var options: ConnectionOptions
        do {
            options = try settings.connectionOptions(name: "vmopsctl:\(getpid()):\(UniqueID.makeDashed())")
        } catch {
            throw ControlError(.usage, "\(error)")
        }
        let limit = min(timeout ?? Self.connectLimit, Self.connectLimit)
        options.connectTimeout = min(options.connectTimeout, limit)
        let logger = Logger(label: "vmopsctl") { _ in SwiftLogNoOpLogHandler() }
        let messaging = settings.messaging
        let clientSettings = RPCClientSettings(topology: settings.topologyOptions)
        return try await withRPCClient(connection: options, settings: clientSettings, logger: logger) { client in
            do {
                try await withDeadline(limit) { try await client.waitUntilReady(retry: 0) }
            } catch is DeadlineExceeded {
                let reason = client.connectionProblem ?? "no connection to the broker"
                throw ControlError(.noAnswer, "\(reason) (waited for \(limit.components.seconds) s)")
            }
            return try await body(
                ComputeClient(
                    sender: OperatorRequests(client),
                    exchange: messaging.controlExchange,
                    topic: messaging.computeTopic,
                    host: common.host,
                    times: AnswerTimes(chosen: timeout, usual: messaging.rpcResponseTimeout)
                )
            )
        }
    }

    /// What the configuration says; an URL from the command line wins over it, and it over the one of the environment.
    private func settings() throws -> Settings {
        let environment = EnvironmentVariables.all
        var overrides: [String] = []
        if let url = common.url ?? (common.configFiles.isEmpty ? environment["VMOPS_URL"] : nil) {
            overrides = ["transport_url=" + url.replacing("$", with: "$$")]
        }
        let result = Settings.load(
            ConfigurationSources(files: common.configFiles, environment: environment, overrides: overrides)
        )
        guard let settings = result.settings else {
            throw ControlError(.usage, result.errors.map(\.description).joined(separator: "\n"))
        }
        return settings
    }
}

extension CommonOptions {
    func connect<Value: Sendable>(
        _ timeout: Double?,
        _ body: @Sendable (ComputeClient) async throws -> Value
    ) async throws -> Value {
        try await Connection(self, timeout: timeout).run(body)
    }
}
