import DiskImages
import HostBackend
import Logging
import Processes
import Support
import Synchronization

/// The destination's part of a live migration.
extension QEMUMachine {
    private static let diskSocket: JSONValue = "arrival"
    /// Before the names of nodes through which disks are copied.
    static let copyPrefix = "copy-"

    /// What the source of this very migration was told; `nil` for any other.
    func way(of migration: String) -> ArrivalWay? {
        guard case .arriving(let arrival) = presence, arrival.migration == migration else { return nil }
        return arrival.way
    }

    /// Starts QEMU, which then waits for the machine. On failure the caller removes what there is.
    func openWay(_ travelling: TravellingMachine, layers: [String]) async throws -> ArrivalWay {
        let limits = settings.migration
        try await changing {
            try await launch(incoming: true, TimeLimit(settings.startTimeout))
        }
        let isEncrypted = try await addCertificates(.destination)
        let diskPort = travelling.disks.isEmpty ? nil : try await serveDisks(travelling, isEncrypted: isEncrypted)
        try await set(capabilities(travelling))
        var parameters: JSONObject = ["tls-creds": .string(isEncrypted ? Self.certificatesName : "")]
        if travelling.channels > 1 { parameters["multifd-channels"] = .int(Int64(travelling.channels)) }
        try await execute("migrate-set-parameters", parameters)
        let port = try await listen()
        let way = ArrivalWay(
            address: limits.address,
            port: port,
            diskPort: diskPort,
            tlsName: limits.tls?.name,
            layers: layers
        )
        state.withLock { state in
            guard case .arriving(var arrival) = state.record.presence else { return }
            arrival.way = way
            state.record.presence = .arriving(arrival)
        }
        try await save()
        return way
    }

    /// Has QEMU listen for the machine's memory.
    private func listen() async throws -> Int {
        let limits = settings.migration
        // Not always from the first on: those are taken.
        for port in limits.ports?.shuffled() ?? [0] {
            do {
                try await execute(
                    "migrate-incoming",
                    ["uri": .string("tcp:\(MigrationAddress.bracketed(limits.address)):\(port)")]
                )
            } catch {
                if error.message.contains("Address already in use") { continue }
                throw error
            }
            let socket = try await execute("query-migrate")["socket-address"]?.arrayValue?.first
            if let port = socket?["port"]?.stringValue.flatMap({ Int($0) }), port > 0 { return port }
            throw BackendError(.internal, "QEMU of machine \(uuid) does not tell where it listens")
        }
        throw BackendError(.resourceExhausted, "no port is free for machine \(uuid)")
    }

    /// Lets the source write to the disks.
    private func serveDisks(_ travelling: TravellingMachine, isEncrypted: Bool) async throws -> Int {
        let limits = settings.migration
        let socket = try await services.work.run { _ in
            try ListeningSocket(limits.address, ports: limits.ports)
        }
        try await execute("getfd", ["fdname": Self.diskSocket], descriptor: socket.descriptor)
        var arguments: JSONObject = ["addr": ["type": "fd", "data": ["str": Self.diskSocket]]]
        if isEncrypted { arguments["tls-creds"] = .string(Self.certificatesName) }
        try await execute("nbd-server-start", arguments)
        for disk in record.spec.disks where travelling.disks.contains(where: { $0.node == disk.nodeName }) {
            var node = disk.nodeName
            if disk.isReadOnly {
                // The guest's own node cannot be written to; nobody reads it before all is there.
                node = Self.copyPrefix + disk.nodeName
                let file: JSONObject = ["driver": "file", "filename": .string(disk.path), "locking": "off"]
                try await execute(
                    "blockdev-add",
                    ["driver": .string(disk.format), "node-name": .string(node), "file": .object(file)]
                )
            }
            try await execute(
                "block-export-add",
                [
                    "type": "nbd", "id": .string(disk.nodeName), "name": .string(disk.nodeName),
                    "node-name": .string(node), "writable": true,
                ]
            )
        }
        return socket.port
    }

    private func closeDisks() async throws {
        do { try await execute("nbd-server-stop") } catch { try Self.passRefusal(error) }
        for disk in record.spec.disks where disk.isReadOnly { try await removeNode(Self.copyPrefix + disk.nodeName) }
    }

    /// The machine is this host's from now on, and runs if it ran. May be repeated.
    func arrive() async throws {
        guard case .arriving(let arrival) = presence else { return }
        guard let process, services.processes.isAlive(process) else { return try await arriveDead() }
        try await changing {
            let status = try await status()
            switch (status, arrival.runs) {
            // An earlier worker let it run, and wrote nothing down any more.
            case ("running", _), ("shutdown", _): break
            case ("paused", _):
                try await closeDisks()
                try await clearMigrationSettings()
                if arrival.runs {
                    try await execute("cont")
                    // Switches learn where it is now; it was told them before it ran, too.
                    _ = try? await execute(
                        "announce-self",
                        ["initial": 50, "max": 550, "rounds": 5, "step": 100]
                    )
                }
            default:
                throw BackendError(.notFound, "machine \(uuid) has not come: its QEMU is \(status)")
            }
            try await settleHere(arrival.runs ? .running : .paused)
        }
        // The guest may have stopped in between.
        try? await resynchronise()
    }

    /// It had come, and its QEMU ended before it could run: the guest is lost, its disks are whole.
    private func arriveDead() async throws {
        logger.error("a machine was lost on its arrival: its QEMU has ended")
        try await settleHere(.error)
        state.withLock { state in post(.crashed, state) }
    }

    private func settleHere(_ reached: MachineState) async throws {
        let before = state.withLock { state in
            defer {
                state.record.presence = .here
                state.record.state = reached
            }
            return state.record
        }
        do {
            try await save()
        } catch {
            state.withLock { state in
                state.record.presence = before.presence
                state.record.state = before.state
            }
            throw error
        }
        state.withLock { state in post(.migratedIn, state) }
    }
}
