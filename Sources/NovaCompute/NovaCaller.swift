package import Support

/// The services of a control plane that a worker speaks to.
package enum NovaTopic: Sendable, Hashable {
    case conductor
    case compute
    /// Where control planes from compute RPC 6.5 on send what finishes operations (Nova's compute RPC, section 1.1).
    case computeAlt
}

/// Calls other services of the control plane.
package protocol NovaCaller: Sendable {
    /// - Parameters:
    ///   - server: one host of the topic; `nil` = any.
    ///   - namespace: of the method; `nil` = none.
    ///   - context: passed on as it came.
    ///   - timeout: for the answer.
    ///   - monitorTimeout: ask for signs of life, and give up when there is none for so long.
    /// - Throws: `RemoteFailure` when the method failed; `CancellationError` also when the process is about to end;
    ///   anything else means that there is no answer, and that the method may have run or still run.
    func call(
        _ topic: NovaTopic,
        server: String?,
        namespace: String?,
        _ method: String,
        version: String,
        _ args: JSONObject,
        context: JSONObject,
        timeout: Duration,
        monitorTimeout: Duration?
    ) async throws -> JSONValue

    /// Returns when the broker has the request.
    func cast(
        _ topic: NovaTopic,
        server: String?,
        namespace: String?,
        _ method: String,
        version: String,
        _ args: JSONObject,
        context: JSONObject
    ) async throws
}
