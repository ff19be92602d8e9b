import OsloMessaging
import RPCClient
import Support
import Synchronization

@testable import ControlClient

/// Hosts that answer as a test says, instead of a client with a broker.
final class FakeHosts: RequestSender {
    struct Request: Sendable {
        let host: String?
        let method: String
        let args: JSONObject
        var timeout: Duration?
        var monitorTimeout: Duration?
    }

    typealias Answer = @Sendable (Request) throws -> JSONValue

    private let names: [String]
    private let answer: Answer
    private let log = Mutex<[Request]>([])

    /// - Parameter names: the hosts that hear a fan-out.
    init(_ names: [String], _ answer: @escaping Answer) {
        self.names = names
        self.answer = answer
    }

    var requests: [Request] { log.withLock { $0 } }

    func call(
        _ target: RPCTarget,
        _ method: String,
        _ args: JSONObject,
        timeout: Duration,
        monitorTimeout: Duration?
    ) async throws -> JSONValue {
        let request = Request(
            host: target.server,
            method: method,
            args: args,
            timeout: timeout,
            monitorTimeout: monitorTimeout
        )
        log.withLock { $0.append(request) }
        return try answer(request)
    }

    func cast(_ target: RPCTarget, _ method: String, _ args: JSONObject) async throws {
        log.withLock { $0.append(Request(host: target.server, method: method, args: args)) }
    }

    func gather(
        _ target: RPCTarget,
        _ method: String,
        _ args: JSONObject,
        deadline: Duration,
        quiet: Duration?
    ) async throws -> [GatheredReply] {
        names.map { name in
            do {
                return .success(try answer(Request(host: name, method: method, args: args)))
            } catch let failure as RemoteFailure {
                return .failure(failure)
            } catch {
                return .failure(RemoteFailure(describing: error))
            }
        }
    }
}

extension FakeHosts {
    func client(host: String? = nil, timeout: Duration? = nil) -> ComputeClient {
        ComputeClient(
            sender: self,
            exchange: "nova",
            topic: "compute",
            host: host,
            times: AnswerTimes(chosen: timeout)
        )
    }
}

let demoUUID = "6d88d4de-e636-42c1-a132-0e9841c37966"
let otherUUID = "0c9c4bdf-57f0-4b0c-9f6c-1f0c2b7f6a11"

func info(_ host: String?, _ state: String = "running", uuid: String = demoUUID) -> JSONValue {
    ["uuid": .string(uuid), "name": "demo", "host": .string(host ?? "-"), "state": .string(state)]
}

let notFound = RemoteFailure(
    className: "InstanceNotFound",
    module: "nova.exception",
    message: "Instance demo could not be found."
)
