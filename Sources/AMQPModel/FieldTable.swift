/// A value in an AMQP field table, as far as RabbitMQ's RPC users need them.
package enum FieldValue: Sendable, Hashable {
    case bool(Bool)
    /// Written as a signed 32-bit integer (`I`) when it fits, as Python's client does, else as 64-bit (`l`).
    case int(Int64)
    case string(String)
    case table(FieldTable)
}

/// An AMQP field table: arguments of declarations and message headers.
package typealias FieldTable = [String: FieldValue]
