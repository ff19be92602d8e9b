import HostBackend
import HostConformance
import Support

/// A plugin as the subject of the checks of host backends.
struct PluginSubject: ConformanceSubject {
    let bench: PluginBench
    let caller: any PluginCaller

    init(_ bench: PluginBench) async throws {
        self.bench = bench
        caller = try await bench.caller()
        if let wire = caller as? WireCaller, wire.hello.capabilities.has(.events) {
            _ = try await wire.session.result("events.subscribe")
        }
    }

    var host: any HostBackend { WireHost(caller: caller) }
    var bootText: String? { bench.settings.bootText }
    var machineCount: Int { bench.settings.machineCount }
    var hasLocalFiles: Bool { !caller.hello.hasRemoteFiles }

    func restart() async throws -> any ConformanceSubject {
        await bench.stop()
        return try await PluginSubject(bench)
    }

    func newInterface() -> NetworkInterface? {
        // A bridge has to be there on the hypervisor; what needs none can always be tried.
        guard let type = caller.hello.capabilities.networkTypes.sorted().first, bench.settings.bridge != nil else {
            return nil
        }
        return NetworkInterface(
            id: UniqueID.makeDashed(),
            macAddress: "52:54:00:00:00:01",
            type: type,
            bridge: bench.settings.bridge
        )
    }

    // MARK: Others

    var foreign: ForeignMachine? {
        bench.settings.foreignName.map { name in
            ForeignMachine(name: name, uuid: bench.settings.foreignUUID.flatMap { InstanceUUID($0) })
        }
    }

    func destination(sharing: Bool) async throws -> any ConformanceSubject {
        guard !sharing || hasLocalFiles else {
            throw CheckSkipped("the plugin's files are elsewhere: what two hosts share there is not known")
        }
        return try await PluginSubject(try await bench.second(sharing: sharing))
    }

    var address: String { bench.settings.secondAddress ?? bench.name }

    func arriving(_ spec: MachineSpec) async throws -> MachineSpec {
        bench.remember(spec.uuid)
        let arriving = spec.moved(to: bench.instances + "/" + spec.uuid.text)
        guard hasLocalFiles else { return arriving }
        try await BlockingPool.shared.run { try makeDirectories(arriving.directory) }
        return arriving
    }

    func end() async { await bench.stop() }

    // MARK: Machines

    func newSpec(_ name: String, bare: Bool) async throws -> MachineSpec {
        try await newSpec(name, bare: bare, metadata: bench.settings.metadata)
    }

    func newSpec(_ name: String, bare: Bool, metadata: [String: String]) async throws -> MachineSpec {
        let settings = bench.settings
        guard let uuid = InstanceUUID(UniqueID.makeDashed()), let bus = DeviceAddress.Bus(rawValue: settings.diskBus)
        else { throw CheckFailure(expected: "a disk bus ide, scsi or virtio", seen: settings.diskBus) }
        bench.remember(uuid)
        var spec = MachineSpec(
            uuid: uuid,
            name: "\(name)-\(uuid.text.prefix(8))",
            directory: bench.instances + "/" + uuid.text,
            memoryMB: settings.memoryMB,
            vcpus: 1,
            metadata: metadata
        )
        if hasLocalFiles {
            let directory = spec.directory
            try await BlockingPool.shared.run { try makeDirectories(directory) }
        }
        guard !bare, let disk = try await rootDisk(spec) else { return spec }
        spec.disks = [
            DiskAttachment(
                role: .root,
                path: disk.path,
                format: disk.format,
                address: DeviceAddress(bus: bus, controller: 0, unit: 0)
            )
        ]
        return spec
    }

    /// A disk to boot from; an empty one when nothing was said.
    private func rootDisk(_ spec: MachineSpec) async throws -> (path: String, format: String)? {
        let settings = bench.settings
        if let file = settings.rootDisk {
            let path = spec.directory + "/root." + settings.rootDiskFormat
            try await BlockingPool.shared.run { try Files.copy(file, to: path) }
            return (path, settings.rootDiskFormat)
        }
        guard let format = host.capabilities.diskFormats.first else { return nil }
        var request = DiskRequest(
            path: spec.directory + "/root." + format,
            format: format,
            source: .blank,
            virtualSize: 1 << 20
        )
        if let reference = settings.image {
            let image = try await host.image(reference)
            let usesOverlay = host.capabilities.has(.copyOnWriteDisks) && format != "raw"
            request.source = usesOverlay ? .overlay(image) : .copy(image)
            request.virtualSize = nil
        }
        let info = try await host.createDisk(request)
        return (info.path, info.format)
    }
}
