package import HostBackend
import PluginProtocol
package import Support
import Synchronization

extension PluginHost {
    package func probe() async throws { _ = try await ask(.hostProbe) }

    package func hostInfo() async throws -> HostInfo { try HostInfo(try await ask(.hostInfo)) }

    package func machines() async throws -> [MachineSummary] {
        do {
            return try await machines(try link())
        } catch let error as PluginError {
            throw error.backendError
        }
    }

    package func machine(_ uuid: InstanceUUID) async throws -> MachineStatus {
        do {
            let status = try MachineStatus(try await ask(.machineGet, uuid.params))
            guard status.uuid == uuid else {
                throw BackendError(.internal, "the plugin answered for another machine than \(uuid)")
            }
            state.withLock { state in
                if status.state != .transitional { state.inventory.learned(uuid, status.state, status.incarnation) }
            }
            return status
        } catch let error as BackendError where error.code == .notFound {
            state.withLock { $0.inventory.removed(uuid) }
            throw error
        }
    }

    package func createMachine(_ spec: MachineSpec) async throws {
        try await share(spec.directory)
        _ = try await ask(.machineCreate, ["spec": .object(spec.record)])
    }

    package func deleteMachine(_ uuid: InstanceUUID) async throws {
        _ = try await ask(.machineDelete, uuid.params)
        state.withLock { $0.inventory.removed(uuid) }
        consoles.forget(uuid)
    }

    package func setState(
        _ uuid: InstanceUUID,
        _ target: TargetState,
        deadline: Duration
    ) async throws -> MachineState {
        let needed: Capability? = target == .paused ? .pause : target == .saved ? .save : nil
        if let needed, !capabilities.has(needed) { throw BackendError.unsupported("the state \(target.rawValue)") }
        var params = uuid.params
        params["state"] = .string(target.rawValue)
        let answer = try await ask(.machineSetState, params, deadline: deadline)
        return try reached(uuid, answer)
    }

    package func reset(_ uuid: InstanceUUID) async throws -> MachineState {
        try reached(uuid, try await ask(.machineReset, uuid.params))
    }

    private func reached(_ uuid: InstanceUUID, _ answer: PluginMembers) throws -> MachineState {
        let reached: MachineState = try answer.choice("state")
        state.withLock { state in
            if reached != .transitional { state.inventory.learned(uuid, reached) }
        }
        return reached
    }

    package func requestShutdown(_ uuid: InstanceUUID, reason: String) async throws -> ShutdownAnswer {
        guard capabilities.has(.softShutdown) else { return .unsupported }
        var params = uuid.params
        params["reason"] = .string(reason)
        return try ShutdownAnswer(try await ask(.machineRequestShutdown, params))
    }

    package func cancelJobs(_ uuid: InstanceUUID) async throws {
        guard capabilities.has(.cancelJobs) else { return }
        _ = try await ask(.machineCancelJobs, uuid.params)
    }

    package func diagnostics(_ uuid: InstanceUUID) async throws -> JSONObject {
        try await ask(.machineDiagnostics, uuid.params).object("diagnostics")
    }

    package func exportRootDisk(_ uuid: InstanceUUID, to path: String, format: String) async throws -> DiskInfo {
        var params = uuid.params
        params["path"] = .string(path)
        params["format"] = .string(format)
        return try DiskInfo(try await ask(.machineExportRootDisk, params))
    }

    package func removeFiles(_ directory: String) async throws {
        guard state.withLock({ $0.hasRemoteFiles }) else { return }
        _ = try await ask(.instanceRemoveFiles, ["directory": .string(directory)])
    }

    // MARK: Console

    package func openConsole(_ uuid: InstanceUUID) async throws -> ConsoleEndpoint {
        let link = try link()
        let abilities = capabilities
        guard abilities.has(.consoleOutput) else { throw BackendError.unsupported("console") }
        let isResumable = abilities.has(.consoleResumable)
        do {
            switch try await link.openConsole(uuid, from: consoles.resume(uuid, isResumable: isResumable)) {
            case .path(let path):
                let owner = try launch.user()?.uid
                let descriptor = try await BlockingPool.shared.run { try PluginConsolePath.open(path, owner: owner) }
                return .descriptor(ConsoleDescriptor(fileDescriptor: descriptor))
            case .stream(let stream):
                consoles.opened(stream, of: uuid, isResumable: isResumable)
                return .stream(stream)
            }
        } catch let error as PluginError {
            throw error.backendError
        }
    }

    package func writeConsole(_ uuid: InstanceUUID, _ bytes: [UInt8]) async throws {
        var params = uuid.params
        params["base64"] = .string(Base64.encode(bytes))
        _ = try await ask(.consoleWrite, params)
    }
}

extension InstanceUUID {
    /// The params of a request about one machine.
    var params: JSONObject { ["uuid": .string(text)] }
}
