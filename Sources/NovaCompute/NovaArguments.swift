import ComputeRPC
import NovaObjects
import OsloMessaging
import Support
import VMOps

/// The keyword arguments of a request of Nova's. Unknown ones are dropped: a later minor version may have them.
struct NovaArguments: Sendable {
    let request: RPCRequest

    init(_ request: RPCRequest, required: [String]) throws {
        self.request = request
        let missing = required.filter { request.args[$0] == nil }
        guard missing.isEmpty else { throw RemoteFailure.missingArguments(missing, of: request.method) }
    }

    var context: JSONObject { request.context }
    var operation: OperationContext { OperationContext(request) }

    /// The argument, `nil` if absent or null.
    subscript(name: String) -> JSONValue? {
        guard let value = request.args[name], !value.isNull else { return nil }
        return value
    }

    func bool(_ name: String, default fallback: Bool) throws -> Bool {
        try self[name].map { try Field(name, $0).bool() } ?? fallback
    }

    func string(_ name: String) throws -> String {
        try Field(name, request.args[name] ?? .null).string()
    }

    /// An object, `nil` if absent or null.
    func object(_ name: String) throws -> NovaObject? {
        guard let value = self[name] else { return nil }
        do {
            return try NovaObject(value)
        } catch {
            throw Field(name, value).invalid("is no object: \(error)")
        }
    }

    func migrateData(_ name: String) throws -> MigrateData {
        guard let value = self[name] else { return MigrateData() }
        do {
            return try MigrateData(value)
        } catch {
            throw Field(name, value).invalid("cannot be read: \(error)")
        }
    }
}
