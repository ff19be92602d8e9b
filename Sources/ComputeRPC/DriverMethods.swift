package import OsloMessaging
import Support
package import VMOps

/// Builds the table of driver-level methods: arguments in, operation, result out.
package struct DriverMethods: Sendable {
    let operations: VMOps
    let identity: DriverEndpoint.Identity
    let injectsPasswords: @Sendable () -> Bool

    var all: [RemoteMethod] {
        lifeCycle + power + migration + resize + migrationPeer + devices + queries + consoles
    }

    /// A method that changes something: accepted durably before it runs.
    func mutating(
        _ name: String,
        _ parameters: [Parameter],
        _ body: @escaping @Sendable (Arguments, OperationContext) async throws -> JSONValue
    ) -> RemoteMethod {
        return RemoteMethod(
            name,
            .mutating { request in
                do {
                    let arguments = try Arguments(request, parameters)
                    return try await body(arguments, OperationContext(request))
                } catch {
                    throw RemoteFailure.from(error)
                }
            }
        )
    }

    /// A method that changes nothing but may wait.
    func reading(
        _ name: String,
        _ parameters: [Parameter],
        _ body: @escaping @Sendable (Arguments) async throws -> JSONValue
    ) -> RemoteMethod {
        return RemoteMethod(
            name,
            .read { request in
                do {
                    return try await body(Arguments(request, parameters))
                } catch {
                    throw RemoteFailure.from(error)
                }
            }
        )
    }

    /// A method that is answered on the connection's thread.
    func inline(
        _ name: String,
        _ parameters: [Parameter],
        _ body: @escaping @Sendable (Arguments) throws -> JSONValue
    ) -> RemoteMethod {
        return RemoteMethod(
            name,
            .inline { request in
                do {
                    return try body(Arguments(request, parameters))
                } catch {
                    throw RemoteFailure.from(error)
                }
            }
        )
    }

    /// A method that is answered on the connection's thread if `body` knows the answer at once, else by `waiting`.
    func immediate(
        _ name: String,
        _ parameters: [Parameter],
        _ body: @escaping @Sendable (Arguments) throws -> JSONValue?,
        waiting: @escaping @Sendable (Arguments) async throws -> JSONValue
    ) -> RemoteMethod {
        return RemoteMethod(
            name,
            .immediate(
                { request in
                    do {
                        return try body(Arguments(request, parameters))
                    } catch {
                        throw RemoteFailure.from(error)
                    }
                },
                waiting: { request in
                    do {
                        return try await waiting(Arguments(request, parameters))
                    } catch {
                        throw RemoteFailure.from(error)
                    }
                }
            )
        )
    }
}

extension OperationContext {
    /// What operations are told of a request.
    package init(_ request: RPCRequest) {
        self.init(requestKey: request.uniqueID, requestID: request.requestID, caller: request.context)
    }
}
