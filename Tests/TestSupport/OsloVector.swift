import Foundation

/// A message captured between real oslo.messaging peers and a RabbitMQ broker.
///
/// Replies carry what the Python client made of them. Some bodies are no valid JSON (`…-value-nonfinite`) or hold lone
/// surrogates, U+0000 and integers of any size: Python sends those.
package struct OsloVector: Sendable {
    /// The file's name without extension, as `request-call-topic`. `request-*` go from client to server, `reply-*` back,
    /// `notify-*` are notifications.
    package let name: String
    /// `18.3.1`, `14.0.3`, or `nova` (nova 34.0.0's own classes over 18.3.1).
    package let folder: String
    package let summary: String
    package let direction: Direction
    /// Arguments of `basic.publish`.
    package let exchange: String
    package let routingKey: String
    package let mandatory: Bool
    package let properties: Properties
    /// The headers table; empty when present and empty, `nil` when absent.
    package let headers: [String: String]?
    /// The body as on the wire, for a compressed message too.
    package let body: [UInt8]
    /// The text of `oslo.message` inside the envelope; `nil` without an envelope and when compressed.
    package let osloMessage: String?
    /// Replies only.
    package let clientObserved: ClientObserved?
    /// Heartbeats only.
    package let secondsAfterRequestDelivered: Double?

    package enum Direction: String, Sendable, Decodable {
        case clientToServer = "client -> server"
        case serverToClient = "server -> client"
        case notifierToListeners = "notifier -> listeners"
    }

    /// The properties beside the headers; what was absent is `nil`.
    package struct Properties: Sendable, Decodable, Hashable {
        package let contentType: String?
        package let contentEncoding: String?
        package let deliveryMode: Int?
        package let priority: Int?
        package let expiration: String?

        enum CodingKeys: String, CodingKey {
            case priority, expiration
            case contentType = "content_type"
            case contentEncoding = "content_encoding"
            case deliveryMode = "delivery_mode"
        }
    }

    /// What the calling Python client got from a reply: a value or an exception.
    package struct ClientObserved: Sendable, Decodable, Hashable {
        /// Python's `repr` of the returned value.
        package let returned: String?
        /// The exception's class with its module.
        package let raised: String?
        /// The classes that an `except` clause would match.
        package let mro: [String]?
        /// Python's `repr` of the exception's arguments.
        package let args: String?
        package let firstLine: String?

        enum CodingKeys: String, CodingKey {
            case returned, raised, mro, args
            case firstLine = "str_first_line"
        }
    }
}

extension OsloVector {
    private static let directory = Checkout.root.appending(path: "Tests/TestSupport/Vectors/oslo")

    /// Every vector, in the order of folder and name.
    ///
    /// - Throws: When a file cannot be read or does not have the expected form.
    package static func all() throws -> [OsloVector] {
        try ["14.0.3", "18.3.1", "nova"].flatMap { folder in
            try FileManager.default.contentsOfDirectory(atPath: directory.appending(path: folder).path)
                .filter { $0.hasSuffix(".json") }
                .sorted()
                .map { try OsloVector(folder: folder, name: String($0.dropLast(5))) }
        }
    }

    /// The vectors of all folders whose name starts with `prefix`.
    package static func all(prefix: String) throws -> [OsloVector] {
        try all().filter { $0.name.hasPrefix(prefix) }
    }

    /// One vector by folder and name.
    package init(folder: String, name: String) throws {
        let text = try Self.file("\(folder)/\(name).json")
        let file = try JSONDecoder().decode(File.self, from: Data(text))
        let compressed = file.bodyBase64.flatMap { Data(base64Encoded: $0) }
        guard let body = file.body.map({ Array($0.utf8) }) ?? compressed.map({ Array($0) }) else {
            throw ConditionNotMet(description: "\(folder)/\(name).json has no body")
        }
        self.name = name
        self.folder = folder
        summary = file.description
        direction = file.direction
        exchange = file.exchange
        routingKey = file.routingKey
        mandatory = file.mandatory
        properties = file.properties
        headers = file.headers
        self.body = body
        osloMessage = file.osloMessage
        clientObserved = file.clientObserved
        secondsAfterRequestDelivered = file.secondsAfterRequestDelivered
    }

    /// The bytes of a file among the vectors, as `topology.json` and `traces.json`.
    package static func file(_ path: String) throws -> [UInt8] {
        Array(try Data(contentsOf: directory.appending(path: path)))
    }

    private struct File: Decodable {
        var description: String
        var direction: Direction
        var exchange: String
        var routingKey: String
        var mandatory: Bool
        var properties: Properties
        var headers: [String: String]?
        var body: String?
        var bodyBase64: String?
        var osloMessage: String?
        var clientObserved: ClientObserved?
        var secondsAfterRequestDelivered: Double?

        enum CodingKeys: String, CodingKey {
            case description, direction, exchange, mandatory, properties, headers, body
            case routingKey = "routing_key"
            case bodyBase64 = "body_base64"
            case osloMessage = "oslo_message"
            case clientObserved = "client_observed"
            case secondsAfterRequestDelivered = "seconds_after_request_delivered"
        }
    }
}

extension OsloVector: CustomStringConvertible {
    package var description: String { "\(folder)/\(name)" }
}
