package import JSONCodec
package import Support

/// An exception as it travels in the `failure` of a reply (oslo.messaging wire, section 8).
///
/// A server throws one to choose what the Python caller sees; a client gets one thrown.
package struct RemoteFailure: Error, Sendable, Hashable {
    /// The class name without its module.
    package var className: String
    /// The Python module; `builtins` for Python's own exceptions. Callers rebuild only classes of modules they allow.
    package var module: String?
    /// What `str(exception)` gives.
    package var message: String
    /// Lines as Python's formatter makes them, each with its line feed.
    package var traceback: [String]
    /// Positional arguments of the constructor.
    package var args: [JSONValue]
    /// Keyword arguments of the constructor.
    package var kwargs: JSONObject

    /// - Parameter args: `nil` = the message alone.
    package init(
        className: String,
        module: String?,
        message: String,
        traceback: [String] = [],
        args: [JSONValue]? = nil,
        kwargs: JSONObject = [:]
    ) {
        self.className = className
        self.module = module
        self.message = message
        self.traceback = traceback
        self.args = args ?? [.string(message)]
        self.kwargs = kwargs
    }

    /// The class with its module, as Python prints it; builtin classes stand alone.
    package var qualifiedName: String {
        guard let module, module != "builtins", module != "exceptions" else { return className }
        return "\(module).\(className)"
    }
}

extension RemoteFailure: CustomStringConvertible {
    package var description: String { "\(qualifiedName): \(message)" }
}

// MARK: - On the wire

extension RemoteFailure {
    private static let remotePostfix = "_Remote"

    /// Writes the failure's document; a failure that was passed on loses the `_Remote` of its class and module.
    ///
    /// Numbers among the arguments that have no JSON form are written as text: a failure can always be sent.
    func write(to writer: inout JSONWriter) {
        let (className, module) = originalNames
        writer.beginObject()
        writer.member("class", string: className)
        writer.member("module", string: module)
        writer.member("message", string: message)
        writer.key("tb")
        writer.beginArray()
        for line in traceback { writer.write(line) }
        writer.endArray()
        writer.key("args")
        writer.beginArray()
        for argument in args { Self.write(argument, to: &writer) }
        writer.endArray()
        writer.key("kwargs")
        writer.beginObject()
        for member in kwargs {
            writer.key(member.key)
            Self.write(member.value, to: &writer)
        }
        writer.endObject()
        writer.endObject()
    }

    private static func write(_ argument: JSONValue, to writer: inout JSONWriter) {
        writer.write(argument, otherwise: "<\(argument.typeName) without a JSON form>")
    }

    private var originalNames: (className: String, module: String?) {
        guard let module, module.hasSuffix(Self.remotePostfix), className.hasSuffix(Self.remotePostfix) else {
            return (className, module)
        }
        return (
            String(className.dropLast(Self.remotePostfix.count)), String(module.dropLast(Self.remotePostfix.count))
        )
    }

    /// The failure's document, as text.
    package func encode() -> [UInt8] {
        var writer = JSONWriter(capacity: 512)
        write(to: &writer)
        return writer.bytes
    }

    /// Reads the `failure` member of a reply.
    ///
    /// Tolerant: whatever stands there ends the call, so what is not a failure's document becomes a failure that
    /// says so.
    package init(wire value: JSONValue, limits: JSONLimits = JSONLimits()) {
        var document = value
        if case .string(let text) = value {
            do {
                document = try JSONReader.read(text.utf8.span, limits: limits)
            } catch {
                self = .unreadable("failure is not a JSON document (\(error))")
                return
            }
        }
        guard case .object(let object) = document else {
            self = .unreadable("failure is not an object but \(document.typeName)")
            return
        }
        self.init(
            className: object["class"]?.stringValue ?? "Exception",
            module: object["module"]?.stringValue,
            message: object["message"]?.stringValue ?? "",
            traceback: object["tb"]?.arrayValue?.compactMap(\.stringValue) ?? [],
            args: object["args"]?.arrayValue ?? [],
            kwargs: object["kwargs"]?.objectValue ?? [:]
        )
    }

    private static func unreadable(_ message: String) -> RemoteFailure {
        RemoteFailure(className: "RemoteError", module: "oslo_messaging.rpc.client", message: message)
    }
}
