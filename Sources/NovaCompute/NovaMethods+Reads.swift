import ComputeRPC
import HostBackend
import Logging
import NovaObjects
import OsloMessaging
import Support
import VMOps

/// Calls that change nothing: request and answer, no conductor (Nova's compute RPC, section 7.3).
extension NovaMethods {
    var reads: [RemoteMethod] {
        [
            reading("get_console_output", ["instance", "tail_length"]) { [self] arguments in
                let uuid = try uuid(try await instance(arguments))
                let tail = Self.tailLength(arguments["tail_length"])
                return .string(try await operations.consoleOutput(uuid, tailLength: tail))
            },
            reading("get_diagnostics") { [self] arguments in
                let (_, figures) = try await diagnostics(arguments)
                return .object(NovaDiagnostics.flat(figures))
            },
            reading("get_instance_diagnostics") { [self] arguments in
                let (info, figures) = try await diagnostics(arguments)
                let kind = try await operations.hostInfo().hypervisorType.lowercased()
                let object = NovaDiagnostics.object(
                    figures,
                    state: Self.diagnosticState(info.state),
                    hypervisor: kind,
                    configDrive: false,
                    versions
                )
                return object.primitive
            },
            reading("get_host_uptime", []) { _ in .string(try await HostUptime.line()) },
            // The API disables the service itself; what is left to a worker concerns the scheduler. What cannot be
            // told now is told by the next report.
            reading("set_host_enabled", ["enabled"]) { [self] arguments in
                let isEnabled = try arguments.bool("enabled", default: true)
                cloud.provider.isDisabled = !isEnabled
                do {
                    try await reportProvider()
                } catch {
                    if Task.isCancelled { throw error }
                    logger.warning("not reported to placement", metadata: ["error": "\(error)"])
                }
                return .string(isEnabled ? "enabled" : "disabled")
            },
            reading("external_instance_event", ["instances", "events"]) { [self] arguments in
                try await external(arguments)
                return .null
            },
        ]
    }

    private func diagnostics(_ arguments: NovaArguments) async throws -> (info: InstanceInfo, figures: JSONObject) {
        let uuid = try uuid(try await instance(arguments))
        let info = try await operations.info(uuid)
        guard ["running", "paused"].contains(info.state) else {
            throw OperationError.invalidState(uuid.text, state: info.state, method: arguments.request.method)
        }
        var figures = try await operations.diagnostics(uuid)
        if figures["num_cpus"] == nil { figures["num_cpus"] = .int(Int64(info.vcpus)) }
        return (info, figures)
    }

    private static func diagnosticState(_ state: String) -> String {
        switch state {
        case "paused", "suspended": state
        case "off": "shutdown"
        case "error": "crashed"
        default: "running"
        }
    }

    /// A number, also as text; negative or none = everything.
    private static func tailLength(_ value: JSONValue?) -> Int? {
        let number: Int? =
            switch value {
            case nil: nil
            case .int(let number)?: Int(clamping: number)
            case .string(let text)?: Int(text) ?? 0
            default: 0
            }
        return number.flatMap { $0 < 0 ? nil : $0 }
    }
}
