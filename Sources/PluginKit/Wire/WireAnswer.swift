import HostBackend
import Support

/// A plugin's answer to a request.
enum WireAnswer: Sendable, Hashable {
    case result(JSONObject)
    case error(WireError)

    var summary: String {
        switch self {
        case .result(let result): "the result \(WireText.short(.object(result)))"
        case .error(let error): "the error \(error.code): \(error.message.prefix(200))"
        }
    }

    /// The result.
    ///
    /// - Throws: the error as the worker would see it; an unknown code counts as `internal` (section 5).
    func get() throws(BackendError) -> JSONObject {
        switch self {
        case .result(let result): return result
        case .error(let error):
            throw BackendError(BackendError.Code(rawValue: error.code) ?? .internal, error.message)
        }
    }
}

/// The members of an error (plugin protocol, section 5).
struct WireError: Sendable, Hashable {
    let code: String
    let message: String
    let details: JSONObject

    /// Takes the object apart, and says what of it the protocol does not allow.
    static func read(_ value: JSONValue) -> (error: WireError, violation: WireViolation?) {
        func wrong(_ text: String) -> WireViolation { WireViolation(section: "5", text: text) }
        let code = value["code"]?.stringValue
        let message = value["message"]?.stringValue
        let error = WireError(
            code: code ?? "internal",
            message: message ?? "",
            details: value["details"]?.objectValue ?? [:]
        )
        var violation: WireViolation?
        if value.objectValue == nil {
            violation = wrong("an error that is no object: \(WireText.short(value))")
        } else if code == nil || message == nil {
            violation = wrong("an error without code or message: \(WireText.short(value))")
        } else if let code, BackendError.Code(rawValue: code) == nil {
            violation = wrong("the error code \(code.prefix(60).debugDescription), which there is not")
        } else if let message, message.utf8.count > 4096 {
            violation = wrong("an error message of \(message.utf8.count) bytes, above 4 KiB")
        } else if let retryable = value["retryable"], !retryable.isNull, retryable.boolValue == nil {
            violation = wrong("retryable is no boolean: \(WireText.short(retryable))")
        }
        return (error, violation)
    }
}
