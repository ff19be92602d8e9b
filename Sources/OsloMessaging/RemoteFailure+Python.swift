import Support

extension RemoteFailure {
    /// The module of the exceptions that the RPC dispatcher itself raises.
    private static let dispatcherModule = "oslo_messaging.rpc.dispatcher"

    /// One of Python's own exceptions.
    package static func builtin(_ className: String, _ message: String) -> RemoteFailure {
        RemoteFailure(className: className, module: "builtins", message: message)
    }

    /// No endpoint that fits has the method (oslo.messaging wire, section 8).
    package static func noSuchMethod(_ method: String) -> RemoteFailure {
        RemoteFailure(
            className: "NoSuchMethod",
            module: dispatcherModule,
            message: "Endpoint does not support RPC method \(method)"
        )
    }

    /// No endpoint has the namespace and version.
    package static func unsupportedVersion(_ version: String?, method: String?) -> RemoteFailure {
        let message = "Endpoint does not support RPC version \(version ?? "None")"
        return RemoteFailure(
            className: "UnsupportedVersion",
            module: dispatcherModule,
            message: method.map { "\(message). Attempted method: \($0)" } ?? message
        )
    }

    package static func typeError(_ message: String) -> RemoteFailure { builtin("TypeError", message) }
    package static func valueError(_ message: String) -> RemoteFailure { builtin("ValueError", message) }
    package static func indexError(_ message: String) -> RemoteFailure { builtin("IndexError", message) }
    package static func attributeError(_ message: String) -> RemoteFailure { builtin("AttributeError", message) }
    package static func runtimeError(_ message: String) -> RemoteFailure { builtin("RuntimeError", message) }
    package static func notImplemented(_ message: String) -> RemoteFailure { builtin("NotImplementedError", message) }

    /// A required argument is absent, in Python's words.
    package static func missingArgument(_ name: String, of method: String) -> RemoteFailure {
        missingArguments([name], of: method)
    }

    /// Required arguments are absent, in Python's words.
    package static func missingArguments(_ names: [String], of method: String) -> RemoteFailure {
        let quoted = names.map { "'\($0)'" }
        let list =
            switch quoted.count {
            case 1: quoted[0]
            case 2: "\(quoted[0]) and \(quoted[1])"
            default: quoted.dropLast().joined(separator: ", ") + ", and " + (quoted.last ?? "")
            }
        return typeError(
            "\(method)() missing \(names.count) required positional argument\(names.count == 1 ? "" : "s"): \(list)"
        )
    }

    /// An argument that the method does not have, in Python's words.
    package static func unexpectedArgument(_ name: String, of method: String) -> RemoteFailure {
        typeError("\(method)() got an unexpected keyword argument '\(name)'")
    }

    /// Whatever a method has thrown: a failure as it is, a cancellation and all else as a `RuntimeError`.
    package init(describing error: any Error) {
        switch error {
        case let failure as RemoteFailure: self = failure
        case is CancellationError: self = .runtimeError("the operation was cancelled")
        default: self = .runtimeError(String(describing: error))
        }
    }

    /// The failure with a traceback in Python's shape that tells operators where it comes from, unless it has one.
    ///
    /// - Parameters:
    ///   - program: stands where Python names the source file, before the host.
    ///   - requestID: the context's `request_id`.
    package func withTraceback(
        method: String,
        host: String,
        requestID: String?,
        program: String = "vmopsd"
    ) -> RemoteFailure {
        guard traceback.isEmpty else { return self }
        var failure = self
        failure.traceback = [
            "Traceback (most recent call last):\n",
            "  File \"\(program)/\(host)\", line 1, in \(method)\n    request \(requestID ?? "without an id")\n",
            "\(qualifiedName): \(message)\n",
        ]
        return failure
    }
}
