package import OsloMessaging
import Support
import VMOps

extension RemoteFailure {
    /// The exception that Nova's clients rebuild: constructor `(message=None, **kwargs)`, its code among the keywords
    /// (oslo.messaging wire, section 8).
    init(_ error: OperationError) {
        var kwargs = JSONObject(error.details.sorted { $0.key < $1.key }.map { ($0.key, JSONValue.string($0.value)) })
        if error.code.module != "builtins" { kwargs["code"] = .int(Int64(error.code.status)) }
        self.init(
            className: error.code.className,
            module: error.code.module,
            message: error.message,
            args: [.string(error.message)],
            kwargs: error.code.module == "builtins" ? [:] : kwargs
        )
    }

    /// Whatever a method threw, as an exception of a class that clients know.
    package static func from(_ error: any Error) -> RemoteFailure {
        switch error {
        case let error as RemoteFailure: error
        case let error as OperationError: RemoteFailure(error)
        default: RemoteFailure(OperationError(.novaException, "\(error)", cause: error))
        }
    }
}
