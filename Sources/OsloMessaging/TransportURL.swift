package import AMQPModel
import Support

/// Where brokers are, as oslo.messaging writes it (oslo.messaging wire, section 13).
package struct TransportURL: Sendable, Hashable {
    /// In the order written; never empty. Users shuffle them.
    package var addresses: [BrokerAddress]
    package var virtualHost: String
    /// Options of `[oslo_messaging_rabbit]` given behind `?`, in order; a repeated one has its values joined by commas.
    package var options: [Option]
    /// What is allowed but probably not meant, one sentence each, without secrets.
    package var warnings: [String]

    /// One option behind the `?`.
    package struct Option: Sendable, Hashable {
        package var name: String
        package var value: String
    }

    /// Also with TLS.
    package static let defaultPort = 5672
    private static let guest = "guest"

    /// - Throws: an error that names the part that is wrong and never shows the URL.
    package init(_ text: String) throws(TransportURLError) {
        guard let colon = text.firstIndex(of: ":"), colon > text.startIndex else {
            throw TransportURLError(.scheme, "it does not begin with rabbit://")
        }
        guard text[..<colon].lowercased() == "rabbit" else {
            throw TransportURLError(.scheme, "only the scheme rabbit is supported")
        }
        var rest = text[text.index(after: colon)...]
        if let hash = rest.firstIndex(of: "#") { rest = rest[..<hash] }
        var query: Substring = ""
        if let mark = rest.firstIndex(of: "?") {
            query = rest[rest.index(after: mark)...]
            rest = rest[..<mark]
        }
        var authority: Substring = ""
        if rest.hasPrefix("//") {
            rest = rest.dropFirst(2)
            let slash = rest.firstIndex(of: "/") ?? rest.endIndex
            authority = rest[..<slash]
            rest = rest[slash...]
        }
        warnings = []
        addresses = []
        virtualHost = PercentCoding.decoded(rest.hasPrefix("/") ? rest.dropFirst() : "")
        if virtualHost.isEmpty { virtualHost = "/" }
        options = Self.options(query)
        try parse(authority)
    }

    private mutating func parse(_ authority: Substring) throws(TransportURLError) {
        var withCredentials = 0
        for (index, part) in authority.split(separator: ",", omittingEmptySubsequences: false).enumerated()
        where !part.isEmpty {
            if part.contains("@") { withCredentials += 1 }
            addresses.append(try Self.address(part, index + 1))
        }
        if withCredentials > 0, withCredentials < addresses.count {
            warnings.append("some hosts have no user and password of their own and use guest: they are not inherited")
        }
        if addresses.isEmpty { addresses = [try Self.address("", 1)] }
    }

    private static func address(_ part: Substring, _ number: Int) throws(TransportURLError) -> BrokerAddress {
        var place = part
        var user = ""
        var password = ""
        if let at = part.lastIndex(of: "@") {
            place = part[part.index(after: at)...]
            let credentials = part[..<at]
            let colon = credentials.firstIndex(of: ":") ?? credentials.endIndex
            user = PercentCoding.decoded(credentials[..<colon])
            password = PercentCoding.decoded(credentials[colon...].dropFirst())
        }
        var (host, portText) = (place, "" as Substring)
        if place.hasPrefix("[") {
            guard let bracket = place.firstIndex(of: "]") else {
                throw TransportURLError(.host, "host \(number) has no closing bracket")
            }
            host = place[..<bracket].dropFirst()
            let after = place[bracket...].dropFirst()
            guard after.isEmpty || after.hasPrefix(":") else {
                throw TransportURLError(.host, "host \(number) has text behind its closing bracket")
            }
            portText = after.dropFirst()
        } else if let colon = place.firstIndex(of: ":") {
            host = place[..<colon]
            portText = place[colon...].dropFirst()
        }
        return BrokerAddress(
            host: host.isEmpty ? "localhost" : host.lowercased(),
            port: try port(portText, number),
            user: user.isEmpty ? guest : user,
            password: Redacted(password.isEmpty ? guest : password)
        )
    }

    private static func port(_ text: Substring, _ number: Int) throws(TransportURLError) -> Int {
        if text.isEmpty { return defaultPort }
        guard let port = UInt16(text) else {
            throw TransportURLError(
                .port,
                "the port of host \(number) is not a number up to 65535 (a password with / ? or # must have them"
                    + " percent-encoded)"
            )
        }
        return port == 0 ? defaultPort : Int(port)
    }

    private static func options(_ query: Substring) -> [Option] {
        var options: [Option] = []
        for pair in query.split(separator: "&") {
            guard let equals = pair.firstIndex(of: "=") else { continue }
            let name = PercentCoding.decoded(pair[..<equals], plusIsSpace: true)
            let value = PercentCoding.decoded(pair[equals...].dropFirst(), plusIsSpace: true)
            if value.isEmpty { continue }
            if let index = options.firstIndex(where: { $0.name == name }) {
                options[index].value += ",\(value)"
            } else {
                options.append(Option(name: name, value: value))
            }
        }
        return options
    }
}

/// Why a transport URL cannot be used. Never shows the URL, which may hold a password.
package struct TransportURLError: Error, Hashable, CustomStringConvertible {
    /// The part that is wrong.
    package struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Value: String {
            case scheme, host, port
        }

        private let value: Value

        package static let scheme = Code(value: .scheme)
        package static let host = Code(value: .host)
        package static let port = Code(value: .port)

        package var description: String { value.rawValue }
    }

    package let code: Code
    package let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { "transport URL: \(message)" }
}

/// Percent-encoding as Python's `urllib.parse` reads it: what is no code stays, what is not UTF-8 is replaced.
enum PercentCoding {
    static func decoded(_ text: some StringProtocol, plusIsSpace: Bool = false) -> String {
        let bytes = Array(text.utf8)
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count)
        var index = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "%"), index + 2 < bytes.count, let high = digit(bytes[index + 1]),
                let low = digit(bytes[index + 2])
            {
                output.append(high << 4 | low)
                index += 3
            } else {
                output.append(plusIsSpace && bytes[index] == UInt8(ascii: "+") ? UInt8(ascii: " ") : bytes[index])
                index += 1
            }
        }
        return String(decoding: output, as: UTF8.self)
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
