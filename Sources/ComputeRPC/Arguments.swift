import OsloMessaging
package import Support
package import VMOps

/// A parameter of a remote method.
struct Parameter: Sendable {
    let name: String
    let isRequired: Bool

    static func required(_ name: String) -> Parameter { Parameter(name: name, isRequired: true) }
    static func optional(_ name: String) -> Parameter { Parameter(name: name, isRequired: false) }
}

/// The keyword arguments of a request, checked against the method's parameters and read with their types.
///
/// A missing or unknown argument is a `TypeError` in Python's words, as a Python server would answer; a value of the
/// wrong type or range is an `InvalidInput` that names the argument.
struct Arguments: Sendable {
    let method: String
    let values: JSONObject

    init(_ request: RPCRequest, _ parameters: [Parameter]) throws {
        method = request.method
        values = request.args
        for member in values.elements where !parameters.contains(where: { $0.name == member.key }) {
            throw RemoteFailure.unexpectedArgument(member.key, of: method)
        }
        for parameter in parameters where parameter.isRequired && values[parameter.name] == nil {
            let missing = parameters.filter { $0.isRequired && values[$0.name] == nil }.map(\.name)
            throw RemoteFailure.missingArguments(missing, of: method)
        }
    }

    /// The argument, `nil` if absent or null.
    subscript(name: String) -> JSONValue? {
        guard let value = values[name], !value.isNull else { return nil }
        return value
    }

    func bool(_ name: String, default fallback: Bool) throws -> Bool {
        guard let value = self[name] else { return fallback }
        return try Field(name, value).bool()
    }

    func string(_ name: String) throws -> String? {
        try self[name].map { try Field(name, $0).string() }
    }

    func requiredString(_ name: String) throws -> String {
        try Field(name, values[name] ?? .null).string()
    }

    func integer(_ name: String, default fallback: Int, in range: ClosedRange<Int>) throws -> Int {
        guard let value = self[name] else { return fallback }
        return try Field(name, value).integer(in: range)
    }

    /// A number of seconds, which may be fractional, null or negative (= zero).
    func seconds(_ name: String) throws -> Duration {
        guard let value = self[name] else { return .zero }
        guard let seconds = value.doubleValue, seconds.isFinite, seconds <= 86_400 else {
            throw Field(name, value).invalid("must be a number of seconds up to 86400")
        }
        return .milliseconds(Int64(max(seconds, 0) * 1000))
    }
}

/// A value from outside together with its name, for errors that say which one is wrong.
package struct Field: Sendable {
    package let name: String
    package let value: JSONValue

    package init(_ name: String, _ value: JSONValue) {
        self.name = name
        self.value = value
    }

    /// A member of an object; `nil` if absent or null.
    package func member(_ key: String) -> Field? {
        guard let member = value[key], !member.isNull else { return nil }
        return Field("\(name).\(key)", member)
    }

    /// The members.
    package func object() throws -> JSONObject {
        guard let object = value.objectValue else { throw mismatch("an object") }
        return object
    }

    /// The elements, each under its number.
    package func list() throws -> [Field] {
        guard let list = value.arrayValue else { throw mismatch("a list") }
        return list.enumerated().map { Field("\(name)[\($0.offset)]", $0.element) }
    }

    /// A text of at most `limit` bytes.
    package func string(limit: Int = 4096) throws -> String {
        guard let text = value.stringValue else { throw mismatch("a string") }
        guard text.utf8.count <= limit else { throw invalid("is longer than \(limit) bytes") }
        return text
    }

    /// Also the strings and numbers that Python clients send for truth values.
    package func bool() throws -> Bool {
        switch value {
        case .bool(let flag): return flag
        case .int(0): return false
        case .int(1): return true
        case .string(let text):
            switch text.lowercased() {
            case "true", "1", "yes", "on", "t", "y": return true
            case "false", "0", "no", "off", "f", "n", "": return false
            default: break
            }
        default: break
        }
        throw mismatch("a boolean")
    }

    /// A number within bounds.
    package func integer(in range: ClosedRange<Int>) throws -> Int {
        let outOfRange = "must be from \(range.lowerBound) to \(range.upperBound)"
        if case .bigInteger = value { throw invalid(outOfRange) }
        guard let number = value.intValue else { throw mismatch("an integer") }
        guard let number = Int(exactly: number), range.contains(number) else { throw invalid(outOfRange) }
        return number
    }

    /// The error for a value of another type.
    package func mismatch(_ expected: String) -> OperationError {
        invalid("must be \(expected), not \(value.typeName)")
    }

    /// The error that says what is wrong.
    package func invalid(_ reason: String) -> OperationError {
        OperationError(
            .invalidInput,
            "Invalid input received: \(name) \(reason)",
            details: ["reason": "\(name) \(reason)"]
        )
    }
}
