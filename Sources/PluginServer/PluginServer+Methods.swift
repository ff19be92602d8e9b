import HostBackend
import PluginProtocol
import Support
import Synchronization

extension PluginServer {
    /// Carries out one request (plugin protocol, section 7).
    func perform(_ request: PluginRequest) async throws -> JSONObject {
        guard let method = PluginMethod(rawValue: request.method) else {
            throw BackendError(.unimplemented, "there is no method \(PluginText.escaped(request.method, limit: 128))")
        }
        guard let host else { throw BackendError(.unavailable, "the host is not in service") }
        let params = PluginMembers(request.params, of: request.method, code: .invalidArgument)
        switch method {
        case .hostInfo: return try await host.hostInfo().json
        case .hostProbe: try await host.probe()
        case .machineList: return try await list(host, params)
        case .machineGet: return try await host.machine(params.uuid()).json
        case .machineCreate: try await host.createMachine(Self.checked(params.spec()))
        case .machineDelete: try await host.deleteMachine(params.uuid())
        case .machineSetState:
            let deadline = request.deadline.map { Duration.milliseconds($0) } ?? .seconds(3600)
            let state = try await host.setState(params.uuid(), try params.choice("state"), deadline: deadline)
            return ["state": .string(state.rawValue)]
        case .machineReset: return ["state": .string(try await host.reset(params.uuid()).rawValue)]
        case .machineRequestShutdown:
            let answer = try await host.requestShutdown(params.uuid(), reason: params.text("reason") ?? "")
            return ["answer": .string(answer.name)]
        case .machineCancelJobs: try await host.cancelJobs(params.uuid())
        case .machineDiagnostics: return ["diagnostics": .object(try await host.diagnostics(params.uuid()))]
        case .machineExportRootDisk:
            let (path, format) = (try params.string("path"), try params.name("format"))
            return try await host.exportRootDisk(params.uuid(), to: path, format: format).json
        case .instanceRemoveFiles: try await host.removeFiles(params.string("directory"))
        case .consoleOpen: return try await openConsole(host, params)
        case .consoleWrite: try await host.writeConsole(params.uuid(), params.bytes())
        case .consoleClose: await closeConsole(UInt32(clamping: try params.count("stream")))
        case .eventsSubscribe: state.withLock { $0.isSubscribed = true }
        default: return try await performMore(method, host, params, request)
        }
        return [:]
    }

    private func performMore(
        _ method: PluginMethod,
        _ host: any HostBackend,
        _ params: PluginMembers,
        _ request: PluginRequest
    ) async throws -> JSONObject {
        switch method {
        case .imageGet: return try await host.image(ImageRequest(params)).json
        case .diskCreate: return try await host.createDisk(DiskRequest(params)).json
        case .diskInfo: return try await host.diskInfo(params.string("path")).json
        case .diskResize:
            try await host.resizeDisk(params.string("path"), virtualSize: params.count("virtual_size"))
        case .configDriveBuild:
            let files = try params.objects("files", of: "file") { ConfigDriveFile($0) }
            try await host.buildConfigDrive(files, at: params.string("path"))
        case .machineAttachDisk: try await host.attachDisk(params.disk(), to: params.uuid())
        case .machineDetachDisk: try await host.detachDisk(path: params.string("path"), from: params.uuid())
        case .volumeConnect: return ["path": .string(try await host.connectVolume(VolumeConnection(params)))]
        case .volumeDisconnect: try await host.disconnectVolume(VolumeConnection(params))
        case .machineAttachInterface: try await host.attachInterface(params.interface(), to: params.uuid())
        case .machineDetachInterface: try await host.detachInterface(id: params.string("id"), from: params.uuid())
        case .networkPlug: try await host.plugInterface(params.interface(), of: params.uuid())
        case .networkUnplug: try await host.unplugInterface(params.interface(), of: params.uuid())
        case .migrateCheckIncoming:
            let options = MigrationOptions(
                copyStorage: params.flag("copy_storage", default: false),
                destination: params.text("destination") ?? ""
            )
            return ["ticket": .object(try await host.checkIncoming(params.spec(), options))]
        case .migrateCheckOutgoing:
            return ["ticket": .object(try await host.checkOutgoing(params.uuid(), params.object("ticket")))]
        case .migratePrepareIncoming:
            return ["ticket": .object(try await host.prepareIncoming(params.spec(), params.object("ticket")))]
        case .migrateStart:
            let id = request.id
            try await host.migrate(params.uuid(), params.object("ticket")) { progress in
                self.send(.progress(id: id, progress.json))
            }
        case .migrateFinishIncoming: try await host.finishIncoming(params.uuid())
        case .migrateAbandonIncoming: try await host.abandonIncoming(params.uuid())
        case .migrateFinishOutgoing: try await host.finishOutgoing(params.uuid())
        case .migrateTakeBack: try await host.takeBack(params.uuid())
        default: throw BackendError(.unimplemented, "\(method.rawValue) is not implemented")
        }
        return [:]
    }

    /// - Throws: `invalidArgument` for a name that is none (section 7.2).
    private static func checked(_ spec: MachineSpec) throws(BackendError) -> MachineSpec {
        guard (try? /[A-Za-z0-9][A-Za-z0-9._-]{0,127}/.wholeMatch(in: spec.name)) != nil else {
            throw BackendError(.invalidArgument, "\(PluginText.escaped(spec.name, limit: 128)) is no name of a machine")
        }
        return spec
    }

    /// One page of the inventory, by name.
    private func list(_ host: any HostBackend, _ params: PluginMembers) async throws -> JSONObject {
        let limit = min(max(try params.integer("limit", default: 100), 1), 1000)
        let after = params.text("after")
        func key(_ machine: MachineSummary) -> String { machine.uuid?.text ?? "foreign/" + machine.name }
        let all = try await host.machines().map { (key: key($0), machine: $0) }.sorted { $0.key < $1.key }
        let rest = after.map { after in all.drop { $0.key <= after } } ?? all[...]
        let page = rest.prefix(limit)
        var result: JSONObject = ["machines": .array(page.map { .object($0.machine.json) })]
        if page.count < rest.count { result["next"] = page.last.map { .string($0.key) } }
        return result
    }

    // MARK: Consoles

    private func openConsole(_ host: any HostBackend, _ params: PluginMembers) async throws -> JSONObject {
        let uuid = try params.uuid()
        if let open = state.withLock({ $0.open[uuid] }) {
            guard params.flag("takeover", default: true) else {
                throw BackendError(.busy, "the console of machine \(uuid) is being read")
            }
            await closeConsole(open, reason: .superseded)
        }
        let endpoint = try await host.openConsole(uuid)
        let console = try ServedConsole(endpoint, uuid: uuid)
        let id = state.withLock { state in
            state.lastStream += 1
            state.streams[state.lastStream] = console
            state.open[uuid] = state.lastStream
            return state.lastStream
        }
        return ["stream": .int(Int64(id)), "offset": 0]
    }

    private func closeConsole(_ id: UInt32, reason: PluginStreamEnd = .closed) async {
        guard let console = state.withLock({ $0.streams[id] }) else { return }
        console.end(reason)
        await console.close()
    }

    func forget(_ id: UInt32, _ uuid: InstanceUUID) {
        state.withLock { state in
            state.streams[id] = nil
            if state.open[uuid] == id { state.open[uuid] = nil }
        }
    }
}
