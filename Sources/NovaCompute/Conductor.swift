package import Logging
package import NovaObjects
import OsloMessaging
package import Support

/// The conductor, through which everything that a control plane is to remember is written (Nova's compute RPC,
/// section 4). A worker has no database of Nova's.
///
/// Requests without an answer are repeated, within ``NovaSettings/conductorPatience``: a state that is expected makes a
/// repeated save harmless.
package struct Conductor: Sendable {
    private static let version = "3.0"
    private static let longestPause = Duration.seconds(10)

    /// What became of a save.
    package enum Outcome: Sendable, Hashable {
        case saved
        /// The instance is in another state than expected, or on its way out: somebody else has the say.
        case superseded(String)
    }

    let caller: any NovaCaller
    let settings: NovaSettings
    let logger: Logger

    package init(caller: any NovaCaller, settings: NovaSettings, logger: Logger) {
        self.caller = caller
        self.settings = settings
        self.logger = logger
    }

    // MARK: - The two calls

    /// Runs a method of an object at the conductor.
    ///
    /// - Returns: what the method changed in the object, and its result.
    /// - Throws: `RemoteFailure` when it failed; what the caller throws when there was no answer in time.
    package func act(
        _ method: String,
        on object: NovaObject,
        _ kwargs: JSONObject = [:],
        context: JSONObject
    ) async throws -> (updates: JSONObject, result: JSONValue) {
        let answer = try await ask("object_action", Self.action(method, object, kwargs), context)
        let parts = answer.arrayValue ?? []
        return (parts.first?.objectValue ?? [:], parts.count > 1 ? parts[1] : .null)
    }

    /// Runs a method of an object at the conductor, in one attempt: for what is repeated anyway.
    func actOnce(_ method: String, on object: NovaObject, context: JSONObject) async throws -> JSONValue {
        try await once("object_action", Self.action(method, object, [:]), context, settings.responseTimeout)
    }

    private static func action(_ method: String, _ object: NovaObject, _ kwargs: JSONObject) -> JSONObject {
        [
            "objinst": object.primitive, "objmethod": .string(method), "args": .array([]), "kwargs": .object(kwargs),
        ]
    }

    /// Runs a method of a class at the conductor.
    ///
    /// - Parameter attempts: `false`: one try, and no longer than an event may take.
    package func actOnClass(
        _ className: String,
        _ method: String,
        _ args: [JSONValue] = [],
        _ kwargs: JSONObject = [:],
        context: JSONObject,
        isPatient: Bool = true
    ) async throws -> JSONValue {
        let args: JSONObject = [
            "objname": .string(className), "objmethod": .string(method),
            "object_versions": settings.versions.manifest, "args": .array(args), "kwargs": .object(kwargs),
        ]
        if isPatient { return try await ask("object_class_action_versions", args, context) }
        return try await once("object_class_action_versions", args, context, settings.eventTimeout)
    }

    /// Has an object of a version nobody here understands turned into one of the pinned version.
    package func backport(_ object: JSONValue, context: JSONObject) async throws -> JSONValue {
        try await ask(
            "object_backport_versions",
            ["objinst": object, "object_versions": settings.versions.manifest],
            context
        )
    }

    private func ask(_ method: String, _ args: JSONObject, _ context: JSONObject) async throws -> JSONValue {
        let deadline = ContinuousClock.now + settings.conductorPatience
        var pause = Duration.milliseconds(500)
        while true {
            do {
                return try await once(method, args, context, settings.responseTimeout)
            } catch let failure as RemoteFailure {
                throw failure
            } catch let error as CancellationError {
                throw error
            } catch {
                guard ContinuousClock.now + pause < deadline else { throw error }
                logger.warning("conductor does not answer", metadata: ["method": "\(method)", "error": "\(error)"])
            }
            try await Task.sleep(for: pause)
            pause = min(pause * 2, Self.longestPause)
        }
    }

    private func once(
        _ method: String,
        _ args: JSONObject,
        _ context: JSONObject,
        _ timeout: Duration
    ) async throws -> JSONValue {
        try await caller.call(
            .conductor,
            server: nil,
            namespace: nil,
            method,
            version: Self.version,
            args,
            context: context,
            timeout: timeout,
            monitorTimeout: nil
        )
    }
}
