package import HostBackend
package import Support

/// The `error` of an answer (plugin protocol, section 5).
package struct PluginFault: Sendable, Hashable {
    /// The longest message that is kept, in bytes.
    package static let maximumMessage = 4096

    package var code: BackendError.Code
    /// For people; never interpreted.
    package var message: String
    package var isRetryable: Bool
    package var details: JSONObject

    package init(
        _ code: BackendError.Code,
        _ message: String,
        isRetryable: Bool? = nil,
        details: JSONObject = [:]
    ) {
        self.code = code
        self.message = PluginText.cut(message, to: Self.maximumMessage)
        self.isRetryable = isRetryable ?? [.busy, .unavailable, .timeout].contains(code)
        self.details = details
    }

    /// What a host backend threw, for the wire.
    package init(_ error: any Error) {
        switch error {
        case let error as BackendError: self.init(error.code, error.description)
        case is CancellationError: self.init(.cancelled, "it was cancelled")
        default: self.init(.internal, "\(error)")
        }
    }

    /// An unknown code counts as `internal`.
    package init(_ json: JSONValue) {
        self.init(
            json["code"]?.stringValue.flatMap(BackendError.Code.init(rawValue:)) ?? .internal,
            json["message"]?.stringValue ?? "the plugin gave no reason",
            isRetryable: json["retryable"]?.boolValue,
            details: json["details"]?.objectValue ?? [:]
        )
    }

    package var json: JSONObject {
        var json: JSONObject = [
            "code": .string(code.rawValue), "message": .string(message), "retryable": .bool(isRetryable),
        ]
        if !details.isEmpty { json["details"] = .object(details) }
        return json
    }

    /// What a host backend throws for it, its text made fit for a log.
    package var backendError: BackendError { BackendError(code, PluginText.escaped(message)) }
}
