import OsloMessaging
import Support

/// A method for every way to run and every way to end.
func echoEndpoints(_ host: String, tally: Tally = Tally()) -> [any RPCEndpoint] {
    let echo: @Sendable (RPCRequest) throws -> JSONValue = { request in
        tally.add("echo")
        return request.args["value"] ?? .null
    }
    let fail: @Sendable (RPCRequest) throws -> JSONValue = { request in throw plannedFailure(request.args) }
    return [
        TestEndpoint([
            "echo": .inline(echo),
            "echo_read": .read(echo),
            "echo_mutating": .mutating(echo),
            "whoami": .inline { _ in .string(host) },
            "context": .inline { .object($0.context) },
            "fail": .inline(fail),
            "fail_read": .read(fail),
            "fail_mutating": .mutating(fail),
            "unencodable": .inline { _ in ["number": .double(.nan)] },
            "unencodable_mutating": .mutating { _ in ["number": .double(.infinity)] },
            "count": .mutating { request in
                tally.add(request.args["name"]?.stringValue ?? "count")
                return .int(Int64(tally[request.args["name"]?.stringValue ?? "count"]))
            },
            "number": .mutating { request in
                tally.add("number")
                return request.args["number"] ?? .null
            },
            "_hidden": .inline { _ in "never" },
        ]),
        TestEndpoint(namespace: "other", ["echo": .inline { _ in "from the other namespace" }]),
    ]
}

/// An error that no method declares.
struct Unplanned: Error {}

private func plannedFailure(_ args: JSONObject) -> any Error {
    switch args["kind"]?.stringValue {
    case "builtin": RemoteFailure.valueError("bad value é")
    case "foreign":
        RemoteFailure(
            className: "InstanceNotFound",
            module: "nova.exception",
            message: "Instance 7 could not be found.",
            kwargs: ["instance_id": "7", "code": 404]
        )
    default: Unplanned()
    }
}
