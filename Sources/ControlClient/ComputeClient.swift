import OsloMessaging
import RPCClient
package import Support

/// The compute service as an operator uses it: hosts, instances, and what can be done with them.
///
/// Every function throws `RemoteFailure` when the host refuses, `RPCClientError` when no answer comes, and
/// ``ControlError`` for what only the view over all hosts shows.
package struct ComputeClient: Sendable {
    /// After an answer from one host, so long is waited for those of others at least.
    private static let quiet = Duration.milliseconds(500)
    private static let lookupQuiet = Duration.milliseconds(200)
    /// Of the driver-level interface.
    private static let version = "1.0"

    let sender: any RequestSender
    let times: AnswerTimes
    private let exchange: String
    private let topic: String
    /// The host that the user named.
    package let host: String?

    package init(
        sender: any RequestSender,
        exchange: String,
        topic: String,
        host: String? = nil,
        times: AnswerTimes = AnswerTimes()
    ) {
        self.sender = sender
        self.exchange = exchange
        self.topic = topic
        self.host = host
        self.times = times
    }

    /// The same, asking `host`; `nil` = whichever fits.
    func onHost(_ host: String?) -> ComputeClient {
        ComputeClient(sender: sender, exchange: exchange, topic: topic, host: host, times: times)
    }

    func target(_ host: String?) -> RPCTarget {
        RPCTarget(exchange: exchange, topic: topic, server: host, version: Self.version)
    }

    private var everybody: RPCTarget {
        RPCTarget(exchange: exchange, topic: topic, fanout: true, version: Self.version)
    }

    // MARK: - Hosts and instances

    /// What every host says to `ping`, or the one that was named.
    package func hosts() async throws -> [JSONObject] {
        let answers: [JSONValue]
        if let host {
            answers = [try await sender.call(target(host), "ping", [:], timeout: times.read, monitorTimeout: nil)]
        } else {
            answers = try await successes("ping", [:], Self.quiet)
        }
        return answers.compactMap(\.objectValue).sorted { Self.text($0, "host") < Self.text($1, "host") }
    }

    /// The instances of all hosts or of the one that was named, by host and name.
    package func list() async throws -> [Instance] {
        let method = "list_instance_infos"
        let answers: [JSONValue]
        if let host {
            answers = [try await sender.call(target(host), method, [:], timeout: times.read, monitorTimeout: nil)]
        } else {
            answers = try await successes(method, [:], Self.quiet)
        }
        return try answers.flatMap { $0.arrayValue ?? [] }.map(Instance.init)
            .sorted { ($0.host, $0.name, $0.uuid) < ($1.host, $1.name, $1.uuid) }
    }

    /// The instance, looked up on all hosts unless one was named.
    package func find(_ reference: InstanceReference) async throws -> Instance {
        let args: JSONObject = ["instance": reference.argument]
        if let host {
            let answer = try await sender.call(
                target(host),
                "get_info",
                args,
                timeout: times.read,
                monitorTimeout: nil
            )
            return try Instance(answer)
        }
        return try await findAnywhere(reference)
    }

    /// The same on all hosts, also if one was named.
    func findAnywhere(_ reference: InstanceReference) async throws -> Instance {
        let replies = try await gather("get_info", ["instance": reference.argument], Self.lookupQuiet)
        var found: [Instance] = []
        for reply in replies {
            switch reply {
            case .success(let value): found.append(try Instance(value))
            case .failure(let failure) where failure.className == "InstanceNotFound": break
            case .failure(let failure):
                // One host's trouble matters only if no other has the instance.
                if !replies.contains(where: \.isSuccess) { throw failure }
            }
        }
        return try Self.choose(found, reference, hosts: replies.count)
    }

    /// Of an instance in migration, the place where it runs counts.
    static func choose(_ found: [Instance], _ reference: InstanceReference, hosts: Int) throws(ControlError) -> Instance
    {
        var left = found
        for state in ["migrating-in", "migrating-out"] where left.count > 1 {
            let others = left.filter { $0.state != state }
            if !others.isEmpty, Set(left.map(\.uuid)).count == 1 { left = others }
        }
        guard let first = left.first else {
            let places = hosts == 1 ? "the only host that answers" : "any of the \(hosts) hosts that answer"
            throw ControlError(.notFound, "Instance \(reference.text) could not be found on \(places).")
        }
        guard left.count == 1 else {
            let places = left.map { "on \($0.host) (\($0.uuid))" }.sorted().joined(separator: " and ")
            throw ControlError(
                .ambiguous,
                "instance \(reference.text) was found \(left.count == 2 ? "twice" : "\(left.count) times"): \(places);"
                    + " say which with --host or the uuid"
            )
        }
        return first
    }

    // MARK: - Any method

    /// Calls a method on the named host, or on any.
    package func call(_ method: String, _ args: JSONObject) async throws -> JSONValue {
        try await sender.call(
            target(host),
            method,
            args,
            timeout: times.operation,
            monitorTimeout: times.monitor
        )
    }

    package func cast(_ method: String, _ args: JSONObject) async throws {
        try await sender.cast(target(host), method, args)
    }

    package func fanout(_ method: String, _ args: JSONObject) async throws {
        try await sender.cast(everybody, method, args)
    }

    // MARK: - Parts

    func gather(_ method: String, _ args: JSONObject, _ quiet: Duration) async throws -> [GatheredReply] {
        let replies = try await sender.gather(everybody, method, args, deadline: times.gather, quiet: quiet)
        guard !replies.isEmpty else {
            throw ControlError(.noAnswer, "no host answered within \(times.gather.inWords) (topic \(topic))")
        }
        return replies
    }

    /// The results of all hosts that have one; a failure only when none has.
    private func successes(_ method: String, _ args: JSONObject, _ quiet: Duration) async throws -> [JSONValue] {
        let replies = try await gather(method, args, quiet)
        let values = replies.compactMap { try? $0.get() }
        if values.isEmpty, case .failure(let failure)? = replies.first { throw failure }
        return values
    }

    private static func text(_ object: JSONObject, _ key: String) -> String { object[key]?.stringValue ?? "" }
}

extension GatheredReply {
    fileprivate var isSuccess: Bool {
        if case .success = self { true } else { false }
    }
}

extension Duration {
    /// `5 s` or `0.5 s`.
    var inWords: String {
        let (seconds, attoseconds) = components
        guard attoseconds != 0 else { return "\(seconds) s" }
        return "\(Double(seconds) + Double(attoseconds / 1_000_000_000_000_000) / 1000) s"
    }
}
