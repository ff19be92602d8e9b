import Glibc
import HostBackend
import HostConformance
import Support

/// A plugin as the conformance checks want it: each primitive is one request, and nothing is made good on the way.
struct WireHost: HostBackend {
    private static let limit = Duration.seconds(60)

    let caller: any PluginCaller

    var capabilities: HostCapabilities { caller.hello.capabilities }

    // MARK: Host

    func connect() async throws {}
    func disconnect() async {}
    func events() -> AsyncStream<MachineEvent> { caller.events() }
    func probe() async throws { _ = try await call("host.probe") }

    func hostInfo() async throws -> HostInfo {
        let info = try await call("host.info")
        func number(_ name: String) throws -> Int { Int(clamping: try Self.integer(info, name, "host.info")) }
        let cpu = info["cpu"]
        return HostInfo(
            vcpus: try number("vcpus"),
            memoryMB: try number("memory_mb"),
            memoryUsedMB: try number("memory_used_mb"),
            diskGB: try number("disk_gb"),
            diskUsedGB: try number("disk_used_gb"),
            hypervisorType: info["hypervisor_type"]?.stringValue ?? "",
            hypervisorVersion: try number("hypervisor_version"),
            hypervisorHostname: info["hypervisor_hostname"]?.stringValue ?? "",
            cpuArchitecture: cpu?["architecture"]?.stringValue ?? "",
            cpuModel: cpu?["model"]?.stringValue ?? "",
            cpuVendor: cpu?["vendor"]?.stringValue ?? "",
            cpuSockets: Int(clamping: cpu?["sockets"]?.intValue ?? 0),
            cpuCores: Int(clamping: cpu?["cores"]?.intValue ?? 0),
            cpuThreads: Int(clamping: cpu?["threads"]?.intValue ?? 0),
            cpuFeatures: cpu?["features"]?.arrayValue?.compactMap(\.stringValue) ?? [],
            vmMode: info["vm_mode"]?.stringValue ?? "hvm"
        )
    }

    // MARK: Machines

    func machines() async throws -> [MachineSummary] {
        var found: [MachineSummary] = []
        var after: JSONValue = .null
        repeat {
            var params: JSONObject = ["limit": 100]
            if !after.isNull { params["after"] = after }
            let page = try await call("machine.list", params)
            guard let entries = page["machines"]?.arrayValue else {
                throw CheckFailure(expected: "machine.list has machines", seen: WireText.short(page))
            }
            for entry in entries { found.append(try Self.summary(entry)) }
            let next = page["next"] ?? .null
            if !next.isNull, next == after {
                throw CheckFailure(expected: "the next page of machine.list", seen: "the same page again")
            }
            after = next
        } while !after.isNull
        return found
    }

    func machine(_ uuid: InstanceUUID) async throws -> MachineStatus {
        let status = try await call("machine.get", ["uuid": .string(uuid.text)])
        guard status["uuid"]?.stringValue == uuid.text, let name = status["name"]?.stringValue else {
            throw CheckFailure(expected: "machine.get has the uuid and the name", seen: WireText.short(status))
        }
        return MachineStatus(
            uuid: uuid,
            name: name,
            state: try Self.state(status, "machine.get"),
            incarnation: UInt64(clamping: status["incarnation"]?.intValue ?? 0),
            maxMemoryKB: status["max_memory_kb"]?.intValue.map { UInt64(clamping: $0) },
            memoryKB: status["memory_kb"]?.intValue.map { UInt64(clamping: $0) },
            cpuCount: status["cpu_count"]?.intValue.map { Int(clamping: $0) },
            cpuTimeNanoseconds: status["cpu_time_ns"]?.intValue.map { UInt64(clamping: $0) },
            hasConsole: status["has_console"]?.boolValue ?? true
        )
    }

    func createMachine(_ spec: MachineSpec) async throws {
        _ = try await call("machine.create", ["spec": .object(spec.record)])
    }

    func deleteMachine(_ uuid: InstanceUUID) async throws { _ = try await call("machine.delete", uuid) }

    func setState(_ uuid: InstanceUUID, _ target: TargetState, deadline: Duration) async throws -> MachineState {
        let params: JSONObject = ["uuid": .string(uuid.text), "state": .string(target.rawValue)]
        return try Self.state(try await call("machine.setState", params, deadline: deadline), "machine.setState")
    }

    func reset(_ uuid: InstanceUUID) async throws -> MachineState {
        try Self.state(try await call("machine.reset", uuid), "machine.reset")
    }

    func requestShutdown(_ uuid: InstanceUUID, reason: String) async throws -> ShutdownAnswer {
        let result = try await call("machine.requestShutdown", ["uuid": .string(uuid.text), "reason": .string(reason)])
        switch result["answer"]?.stringValue {
        case "accepted": return .accepted
        case "not_ready": return .notReady
        case "unsupported": return .unsupported
        default:
            throw CheckFailure(expected: "accepted, not_ready or unsupported", seen: WireText.short(result))
        }
    }

    func cancelJobs(_ uuid: InstanceUUID) async throws {
        // Without the flag the worker does not ask (section 6).
        guard capabilities.flags.contains(Capability(rawValue: "machine.cancelJobs")) else { return }
        _ = try await call("machine.cancelJobs", uuid)
    }

    func diagnostics(_ uuid: InstanceUUID) async throws -> JSONObject {
        let result = try await call("machine.diagnostics", uuid)
        guard let figures = result["diagnostics"]?.objectValue else {
            throw CheckFailure(expected: "machine.diagnostics has an object of figures", seen: WireText.short(result))
        }
        return figures
    }

    func exportRootDisk(_ uuid: InstanceUUID, to path: String, format: String) async throws -> DiskInfo {
        let params: JSONObject = ["uuid": .string(uuid.text), "path": .string(path), "format": .string(format)]
        return try Self.disk(try await call("machine.exportRootDisk", params), "machine.exportRootDisk")
    }

    // MARK: Requests

    func call(_ method: String, _ uuid: InstanceUUID) async throws -> JSONObject {
        try await call(method, ["uuid": .string(uuid.text)])
    }

    func call(
        _ method: String,
        _ params: JSONObject = [:],
        deadline: Duration = limit,
        progress: @escaping @Sendable (JSONObject) async throws -> Void = { _ in }
    ) async throws -> JSONObject {
        do {
            return try await caller.call(method, params, deadline: deadline, progress: progress)
        } catch let error as BackendError {
            // Which request it was is what a plugin's author wants to know.
            throw BackendError(error.code, "\(method): \(error.message)")
        }
    }
}
