import HostBackend
import Logging
import PluginProtocol
import Support
import Synchronization

extension PluginServer {
    /// Carries out one request (plugin protocol, section 7).
    func perform(_ request: PluginRequest) async throws -> JSONObject {
        guard let method = PluginMethod(rawValue: request.method) else {
            throw BackendError(.unimplemented, "there is no method \(PluginText.escaped(request.method, limit: 128))")
        }
        guard let (host, paths) = served else { throw BackendError(.unavailable, "the host is not in service") }
        let params = PluginMembers(request.params, of: request.method, code: .invalidArgument)
        switch method {
        case .hostInfo: return try await host.hostInfo().json
        case .hostProbe: try await host.probe()
        case .machineList: return try await list(host, params)
        case .machineGet: return try await host.machine(params.uuid()).json
        case .machineCreate: try await host.createMachine(paths.instance(params.spec()))
        case .machineDelete:
            try await host.deleteMachine(params.uuid())
            try await left(params.uuid())
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
            let path = try paths.instanceOrImage(params.string("path"), "path")
            let format = try params.name("format")
            return try await host.exportRootDisk(params.uuid(), to: path, format: format).json
        case .instanceRemoveFiles: try await host.removeFiles(paths.instance(params.string("directory"), "directory"))
        case .consoleOpen: return try await openConsole(host, params)
        case .consoleWrite: try await host.writeConsole(params.uuid(), params.bytes())
        case .consoleClose: await closeConsole(UInt32(clamping: try params.count("stream")))
        case .eventsSubscribe: state.withLock { $0.isSubscribed = true }
        default: return try await performMore(method, host, paths, params, request)
        }
        return [:]
    }

    private func performMore(
        _ method: PluginMethod,
        _ host: any HostBackend,
        _ paths: ServedPaths,
        _ params: PluginMembers,
        _ request: PluginRequest
    ) async throws -> JSONObject {
        switch method {
        case .imageGet: return try await host.image(ImageRequest(params)).json
        case .diskCreate: return try await host.createDisk(paths.disk(DiskRequest(params))).json
        case .diskInfo: return try await host.diskInfo(paths.instanceOrImage(params.string("path"), "path")).json
        case .diskResize:
            let path = try paths.instance(params.string("path"), "path")
            try await host.resizeDisk(path, virtualSize: params.count("virtual_size"))
        case .configDriveBuild:
            let files = try params.objects("files", of: "file") { ConfigDriveFile($0) }
            try await host.buildConfigDrive(files, at: paths.instance(params.string("path"), "path"))
        case .machineAttachDisk:
            let disk = try params.disk()
            if disk.role != .volume { _ = try paths.instance(disk.path, "disk.path") }
            try await host.attachDisk(disk, to: params.uuid())
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
            return ["ticket": .object(try await host.checkIncoming(paths.instance(params.spec()), options))]
        case .migrateCheckOutgoing:
            return ["ticket": .object(try await host.checkOutgoing(params.uuid(), params.object("ticket")))]
        case .migratePrepareIncoming:
            let spec = try paths.instance(params.spec())
            return ["ticket": .object(try await host.prepareIncoming(spec, params.object("ticket")))]
        case .migrateStart:
            let id = request.id
            try await leaving(params.uuid()) { uuid in
                try await host.migrate(uuid, params.object("ticket")) { progress in
                    self.send(.progress(id: id, progress.json))
                }
            }
        case .migrateFinishIncoming: try await host.finishIncoming(params.uuid())
        case .migrateAbandonIncoming: try await host.abandonIncoming(params.uuid())
        case .migrateFinishOutgoing:
            try await host.finishOutgoing(params.uuid())
            try await left(params.uuid())
        case .migrateTakeBack: try await host.takeBack(params.uuid())
        default: throw BackendError(.unimplemented, "\(method.rawValue) is not implemented")
        }
        return [:]
    }

    /// Runs a migration; the machine's console waits with the reason of its end until it is known where the machine is.
    private func leaving(_ uuid: InstanceUUID, _ body: (InstanceUUID) async throws -> Void) async throws {
        state.withLock { $0.departures[uuid] = .underWay }
        do {
            try await body(uuid)
        } catch {
            state.withLock { $0.departures[uuid] = nil }
            throw error
        }
        // Forgotten with the console that ends by it, or when the machine comes again.
        state.withLock { $0.departures[uuid] = .gone }
    }

    /// Why a machine's console has ended by itself.
    func reason(_ uuid: InstanceUUID) async -> PluginStreamEnd {
        while let departure = state.withLock({ $0.departures[uuid] }) {
            if departure == .gone { return .migrated }
            do { try await Task.sleep(for: .milliseconds(5)) } catch { break }
        }
        return .stopped
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
        let from = try params.optionalCount("from")
        let endpoint = try await host.openConsole(uuid)
        let spool = try await spool(uuid)
        let console = ServedConsole(endpoint, uuid: uuid, spool: spool, from: from)
        let id = state.withLock { state in
            state.lastStream += 1
            state.streams[state.lastStream] = console
            state.open[uuid] = state.lastStream
            return state.lastStream
        }
        return ["stream": .int(Int64(id)), "offset": .int(Int64(clamping: console.offset))]
    }

    private func closeConsole(_ id: UInt32, reason: PluginStreamEnd = .closed) async {
        guard let console = state.withLock({ $0.streams[id] }) else { return }
        console.end(reason)
        await console.close()
    }

    func forget(_ id: UInt32, _ uuid: InstanceUUID) {
        state.withLock { state in
            state.streams[id] = nil
            guard state.open[uuid] == id else { return }
            state.open[uuid] = nil
            if state.departures[uuid] == .gone { state.departures[uuid] = nil }
        }
    }

    /// What was sent of the machine before; `nil` where nothing is kept.
    private func spool(_ uuid: InstanceUUID) async throws -> ConsoleSpool? {
        guard let directory = state.withLock({ $0.spoolDirectory }) else { return nil }
        return try await BlockingPool.shared.run { try ConsoleSpool(directory + "/" + uuid.text) }
    }

    /// The machine is not here any more.
    private func left(_ uuid: InstanceUUID) async {
        let directory = state.withLock { state in
            // Else the console forgets it with its end.
            if state.open[uuid] == nil { state.departures[uuid] = nil }
            return state.spoolDirectory
        }
        guard let directory else { return }
        do {
            try await BlockingPool.shared.run { try ConsoleSpool.remove(directory + "/" + uuid.text) }
        } catch {
            logger.warning("what a machine printed cannot be removed", metadata: ["error": "\(error)"])
        }
    }
}
