import JSONCodec
import Support
import TestSupport

/// What a broker has in a virtual host, with names that are new each time written as `*`.
struct BrokerTopology: Sendable, Equatable {
    /// One line each: name, type, durable, auto-delete, arguments.
    var exchanges: Set<String>
    var queues: Set<String>
    var bindings: Set<String>

    /// The objects of a virtual host on a running node, without the broker's own.
    static func of(_ virtualHost: String, on broker: some BrokerControl) async throws -> BrokerTopology {
        let text = try await broker.evaluate(
            """
            VHost = <<"\(virtualHost)">>,
            Name = fun({resource, _, _, N}) -> N end,
            Arguments = fun(Table) -> [[K, atom_to_binary(T), V] || {K, T, V} <- Table] end,
            Exchanges = [#{name => Name(proplists:get_value(name, I)), type => proplists:get_value(type, I),
                durable => proplists:get_value(durable, I), auto_delete => proplists:get_value(auto_delete, I),
                arguments => Arguments(proplists:get_value(arguments, I))}
              || I <- rabbit_exchange:info_all(VHost, [name, type, durable, auto_delete, arguments])],
            Queues = [#{name => Name(proplists:get_value(name, I)),
                type => case lists:keyfind(<<"x-queue-type">>, 1, proplists:get_value(arguments, I)) of
                  {_, _, Type} -> Type; false -> classic end,
                durable => proplists:get_value(durable, I), auto_delete => proplists:get_value(auto_delete, I),
                arguments => Arguments(proplists:get_value(arguments, I))}
              || I <- rabbit_amqqueue:info_all(VHost, [name, durable, auto_delete, arguments])],
            Bindings = [#{source_name => proplists:get_value(source_name, I),
                destination_name => proplists:get_value(destination_name, I),
                routing_key => proplists:get_value(routing_key, I)}
              || I <- rabbit_binding:info_all(VHost, [source_name, destination_name, routing_key])],
            iolist_to_binary(rabbit_json:encode(#{exchanges => Exchanges, queues => Queues, bindings => Bindings}))
            """
        )
        return BrokerTopology(try JSONReader.read(Array(text.utf8)))
    }

    /// What the library had a broker declare under a configuration of that name, as captured, without what only
    /// clients, notifiers and listeners declare.
    static func captured(_ configuration: String) throws -> BrokerTopology {
        let file = try JSONReader.read(try OsloVector.file("topology.json"))
        let all = file["configurations"]?.arrayValue ?? []
        guard let found = all.first(where: { $0["name"] == .string(configuration) }), let broker = found["broker"]
        else {
            throw ConditionNotMet(description: "no configuration \(configuration) was captured")
        }
        return BrokerTopology(broker)
    }

    init(_ document: JSONValue) {
        let isServers = { (name: String) in
            !name.isEmpty && !name.hasPrefix("amq.") && !name.hasPrefix("reply_") && !name.hasPrefix("notifications.")
                && name != "audit-pool"
        }
        let objects = { (kind: String) in
            (document[kind]?.arrayValue ?? []).filter { isServers($0["name"]?.stringValue ?? "") }
        }
        exchanges = Set(objects("exchanges").map(Self.line))
        queues = Set(objects("queues").map(Self.line))
        bindings = Set(
            (document["bindings"]?.arrayValue ?? [])
                .filter {
                    isServers($0["source_name"]?.stringValue ?? "")
                        && isServers($0["destination_name"]?.stringValue ?? "")
                }
                .map { binding in
                    ["source_name", "destination_name", "routing_key"]
                        .map { Self.general(binding[$0]?.stringValue ?? "") }.joined(separator: " ")
                }
        )
    }

    private static func line(_ object: JSONValue) -> String {
        let arguments = (object["arguments"]?.arrayValue ?? [])
            .map { argument in (argument.arrayValue ?? []).map(text).joined(separator: ":") }.sorted()
        return
            ([general(object["name"]?.stringValue ?? "")]
            + ["type", "durable", "auto_delete"].map { text(object[$0] ?? .null) } + arguments)
            .joined(separator: " ")
    }

    private static func text(_ value: JSONValue) -> String {
        switch value {
        case .string(let text): text
        case .bool(let flag): flag ? "true" : "false"
        case .int(let number): String(number)
        default: "\(value)"
        }
    }

    /// `compute_fanout_<32 hex>` as `compute_fanout_*`.
    private static func general(_ name: String) -> String {
        let digits = name.utf8.suffix(32)
        let isUnique =
            name.utf8.count > 32
            && digits.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
        return isUnique ? name.dropLast(32) + "*" : name
    }
}
