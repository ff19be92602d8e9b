import DaemonBench
import Foundation
import TestSupport

/// What a broker has and needs, as itself and the kernel tell.
struct BrokerFigures: Sendable, CustomStringConvertible {
    var queues: Int
    var connections: Int
    var channels: Int
    var consumers: Int
    /// Messages that wait or are unacknowledged.
    var messages: Int
    /// What Erlang has allocated, after a collection in all its processes.
    var allocatedKiB: Int
    var process: ProcessFigures

    init(_ broker: PrivateBroker) async throws {
        let text = try await broker.evaluate(
            """
            [erlang:garbage_collect(P) || P <- erlang:processes()],
            Queues = rabbit_amqqueue:list(),
            Count = fun(Key) -> lists:sum([case catch rabbit_amqqueue:info(Q, [Key]) of
              [{_, N}] when is_integer(N) -> N; _ -> 0 end || Q <- Queues]) end,
            [length(Queues), length(rabbit_networking:local_connections()), length(rabbit_channel:list_local()),
             Count(consumers), Count(messages), erlang:memory(total) div 1024]
            """
        )
        let numbers = text.split { !$0.isNumber }.compactMap { Int($0) }
        guard numbers.count == 6 else { throw Unexpected("the broker tells \(text)") }
        queues = numbers[0]
        connections = numbers[1]
        channels = numbers[2]
        consumers = numbers[3]
        messages = numbers[4]
        allocatedKiB = numbers[5]
        process = try Self.process(broker)
    }

    static func process(_ broker: PrivateBroker) throws -> ProcessFigures {
        let file = try String(contentsOfFile: broker.directory + "/rabbit.pid", encoding: .utf8)
        guard let id = Int32(file.trimmingCharacters(in: .whitespacesAndNewlines)) else {
            throw Unexpected("no process of a broker: \(file)")
        }
        return try ProcessFigures(id)
    }

    var description: String {
        """
        \(queues) queues, \(connections) connections, \(channels) channels, \(consumers) consumers, \
        \(allocatedKiB >> 10) MiB allocated, RSS \(process.residentKiB >> 10) MiB
        """
    }
}
