import JSONCodec
import OsloMessaging
import Support
import TestSupport
import Testing

/// oslo.messaging wire, section 8.
@Suite struct RemoteFailureTests {
    private func vector(_ name: String) throws -> RemoteFailure {
        let vector = try OsloVector(folder: "18.3.1", name: name)
        return try #require(try RPCReply(body: vector.body, properties: vector.messageProperties).failure)
    }

    /// Our own failure with the captured traceback is the captured failure.
    private func expect(_ own: RemoteFailure, equals name: String) throws {
        let captured = try vector(name)
        var own = own
        own.traceback = captured.traceback
        #expect(String(utf8: own.encode()) == String(utf8: captured.encode()))
    }

    @Test func dispatcherErrorsAreWordedAsPythonDoes() throws {
        try expect(.noSuchMethod("missing_method"), equals: "reply-failure-no-such-method")
        let captured = try vector("reply-failure-unsupported-version-major")
        let version = try #require(captured.message.wholeMatch(of: /.*version (.+)\. Attempted method: (.+)/)).output
        try expect(
            .unsupportedVersion(String(version.1), method: String(version.2)),
            equals: "reply-failure-unsupported-version-major"
        )
        #expect(RemoteFailure.unsupportedVersion(nil, method: nil).message.hasSuffix("RPC version None"))
    }

    @Test func aPassedOnFailureLosesItsPostfix() throws {
        var failure = try vector("reply-failure-re-raised-remote")
        #expect(failure.className == "AppError")
        let original = failure.encode()
        failure.className += "_Remote"
        #expect(String(utf8: failure.encode()).contains(#""AppError_Remote""#))
        failure.module = "example.exception_Remote"
        #expect(failure.encode() == original)
    }

    @Test func argumentsOfEveryShapeAreKept() throws {
        let odd = try vector("reply-failure-odd-args")
        #expect(odd.args == ["odd", "2026-01-02T03:04:05.000000", [1], "raw", "<class 'object'>"])
        #expect(try vector("reply-failure-app-kwargs").kwargs == ["resource": "r-1", "host": "host1", "code": 404])
    }

    @Test func whatHasNoFormDoesNotKeepAFailureFromBeingSent() throws {
        let failure = RemoteFailure(
            className: "X",
            module: "m",
            message: "x",
            args: [1, .double(.nan), "z"],
            kwargs: ["a": [.double(.infinity)], "b": 2]
        )
        let read = RemoteFailure(wire: .string(String(utf8: failure.encode())))
        #expect(read.args == [1, "<number without a JSON form>", "z"])
        #expect(read.kwargs == ["a": "<array without a JSON form>", "b": 2])
    }

    @Test func theTracebackNamesMethodHostAndRequest() {
        let failure = RemoteFailure(className: "InstanceNotFound", module: "nova.exception", message: "gone")
            .withTraceback(method: "get_info", host: "host-a", requestID: "req-1")
        #expect(
            failure.traceback == [
                "Traceback (most recent call last):\n",
                "  File \"vmopsd/host-a\", line 1, in get_info\n    request req-1\n",
                "nova.exception.InstanceNotFound: gone\n",
            ]
        )
        #expect(failure.withTraceback(method: "x", host: "y", requestID: nil) == failure)
        let builtin = RemoteFailure.valueError("bad").withTraceback(method: "m", host: "h", requestID: nil)
        #expect(builtin.traceback.last == "ValueError: bad\n")
    }

    @Test func argumentErrorsReadAsPythonsDo() {
        #expect(
            RemoteFailure.missingArgument("instance", of: "spawn").message
                == "spawn() missing 1 required positional argument: 'instance'"
        )
        #expect(
            RemoteFailure.missingArguments(["a", "b"], of: "f").message
                == "f() missing 2 required positional arguments: 'a' and 'b'"
        )
        #expect(
            RemoteFailure.missingArguments(["a", "b", "c"], of: "f").message
                == "f() missing 3 required positional arguments: 'a', 'b', and 'c'"
        )
        #expect(
            RemoteFailure.unexpectedArgument("x", of: "f").message == "f() got an unexpected keyword argument 'x'"
        )
    }

    @Test func errorsOfAnyKindBecomeFailures() {
        struct Odd: Error, CustomStringConvertible { let description = "odd thing" }
        #expect(RemoteFailure(describing: Odd()) == .runtimeError("odd thing"))
        #expect(RemoteFailure(describing: RemoteFailure.valueError("x")) == .valueError("x"))
        #expect(RemoteFailure(describing: CancellationError()).className == "RuntimeError")
    }
}
