import Foundation
import Support

/// A RabbitMQ node in a directory of its own, run by `Tests/Harness/broker`.
package protocol BrokerControl: Sendable {
    /// The node's directory: data, logs, certificates in `tls/`.
    var directory: String { get }

    /// The AMQP port on 127.0.0.1 and, where the machine has it, ::1.
    var port: Int { get }
}

extension BrokerControl {
    package var host: String { "127.0.0.1" }

    /// The transport URL of the virtual host "/".
    package var url: String { transportURL(virtualHost: "") }

    /// The transport URL of a virtual host, whose name is percent-encoded.
    ///
    /// - Parameter port: Another port than the node's own, as that of a ``FaultProxy`` in front of it.
    package func transportURL(virtualHost: String, port: Int? = nil) -> String {
        let unreserved = CharacterSet(
            charactersIn: "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"
        )
        let name = virtualHost.addingPercentEncoding(withAllowedCharacters: unreserved) ?? virtualHost
        return "rabbit://guest:guest@\(host):\(port ?? self.port)/\(name)"
    }

    /// Runs `body` with the transport URL of a virtual host of its own, which is deleted afterwards with all its
    /// connections and queues. Costs about a tenth of a second.
    ///
    /// - Parameter name: The virtual host's name if it matters; by default a unique one.
    package func withVirtualHost<Result>(
        named name: String? = nil,
        _ body: (_ transportURL: String) async throws -> Result
    ) async throws -> Result {
        let name = name ?? "test-\(UniqueID.make())"
        _ = try await run("vhost-add", name)
        let result: Result
        do {
            result = try await body(transportURL(virtualHost: name))
        } catch {
            try? await deleteVirtualHost(name)
            throw error
        }
        try await deleteVirtualHost(name)
        return result
    }

    /// Evaluates Erlang in the node and returns the value's text; a binary is returned as it is. Takes milliseconds,
    /// where ``control(_:)`` takes half a second.
    ///
    /// - Throws: ``CommandFailure`` when the node is not running or the expression fails.
    @discardableResult
    package func evaluate(_ expression: String) async throws -> String {
        try await run("eval", expression)
    }

    /// Runs `rabbitmqctl` on this node and returns what it printed.
    @discardableResult
    package func control(_ arguments: String...) async throws -> String {
        try await runCommand(Checkout.python, [script, "ctl", directory, "-q"] + arguments)
    }

    /// Closes every connection to a virtual host as an administrator would; clients see `connection.close` 320.
    package func closeConnections(virtualHost: String, reason: String = "closed by a test") async throws {
        try await evaluate(
            """
            [rabbit_networking:close_connection(Pid, "\(reason)") || Pid <- rabbit_networking:connections(),
              [{vhost, <<"\(virtualHost)">>}] =:= (catch rabbit_reader:info(Pid, [vhost]))]
            """
        )
    }

    /// Deletes a queue under its consumers; clients that announced it see `basic.cancel`.
    package func deleteQueue(_ name: String, virtualHost: String) async throws {
        try await evaluate(
            """
            {ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"\(virtualHost)">>, queue, <<"\(name)">>)),
            element(1, rabbit_amqqueue:delete(Q, false, false, <<"test">>))
            """
        )
    }

    /// The names of the queues of a virtual host, sorted.
    package func queueNames(virtualHost: String) async throws -> [String] {
        let names = try await evaluate(
            """
            iolist_to_binary(lists:join(10, lists:sort([element(4, amqqueue:get_name(Q)) ||
              Q <- rabbit_amqqueue:list(<<"\(virtualHost)">>)])))
            """
        )
        return names.split(separator: "\n").map(String.init)
    }

    /// Makes the whole node block publishers (`connection.blocked`) as if its memory were used up, or lets them go on.
    package func setPublishersBlocked(_ blocked: Bool) async throws {
        let change = blocked ? "set_alarm" : "clear_alarm"
        let alarm = "{resource_limit, memory, node()}"
        try await evaluate("rabbit_alarm:\(change)(\(blocked ? "{\(alarm), []}" : alarm))")
    }

    private func deleteVirtualHost(_ name: String) async throws {
        _ = try await run("vhost-delete", name)
    }

    func run(_ command: String, _ arguments: String...) async throws -> String {
        try await runCommand(Checkout.python, [script, command, directory] + arguments)
    }

    private var script: String { Checkout.harness.appending(path: "broker").path }
}
