import HostBackend
import PluginProtocol
import Support

/// One of everything that goes over the wire.
enum Messages {

    static var spec: MachineSpec {
        MachineSpec(
            uuid: InstanceUUID("8b3c1f0e-5f5a-4a4e-9a37-0d6c2f1e9b11") ?? InstanceUUID.zero,
            name: "instance-00000001",
            directory: "/var/lib/vmops/a/instances/8b3c1f0e-5f5a-4a4e-9a37-0d6c2f1e9b11",
            memoryMB: 512,
            startupMemoryMB: 256,
            vcpus: 2,
            limitCPUFeatures: true,
            enableMetrics: true,
            disks: [disk],
            interfaces: [interface],
            metadata: ["a": "b"]
        )
    }

    static let disk = DiskAttachment(
        role: .volume,
        media: .disk,
        path: "/dev/disk/x",
        format: "raw",
        address: DeviceAddress(bus: .virtio, controller: 1, unit: 2),
        identifier: "volume-1"
    )

    static let interface = NetworkInterface(
        id: "vif",
        macAddress: "fa:16:3e:00:00:01",
        type: "bridge",
        bridge: "br0",
        deviceName: "tap0",
        active: false
    )

    static let image = ImageInfo(reference: "cirros", path: "/images/cirros", format: "qcow2", virtualSize: 1 << 30)

    static let hello = PluginHello(
        version: 1,
        nonce: "n",
        name: "plug",
        pluginVersion: "1.0",
        hostID: "host-id",
        hostName: "node7",
        hypervisorType: "QEMU",
        hypervisorVersion: 7002,
        capabilities: HostCapabilities(
            flags: [.pause, .events, Capability(rawValue: "of.another.version")],
            diskFormats: ["qcow2", "raw"],
            volumeTypes: ["file"],
            networkTypes: ["bridge"]
        ),
        maximumFrame: 65536,
        maximumParallel: 3,
        consoleBuffer: 4096,
        hasRemoteFiles: true
    )

    static var workerHello: WorkerHello {
        var hello = WorkerHello(
            workerVersion: "1.2",
            host: "compute1",
            nonce: "n",
            instancesDirectory: "/a",
            stateDirectory: "/b",
            options: ["pool": "default"]
        )
        hello.maximumFrame = 8192
        return hello
    }

    static var ofWorkers: [WorkerMessage] {
        [
            .hello(workerHello),
            .request(
                PluginRequest(id: 1, method: "machine.get", params: ["uuid": "x"], deadline: 5, idempotencyKey: "k")
            ),
            .request(PluginRequest(id: 2, method: "host.info")),
            .cancel(id: 1), .credit(stream: 3, bytes: 65536), .ping(id: 9), .pong(id: 8), .goodbye(reason: "over"),
        ]
    }

    static var ofPlugins: [PluginMessage] {
        let uuid = spec.uuid
        let kinds: [MachineEvent.Kind] = [
            .started, .stopped(.crashed), .paused, .resumed, .saved, .rebooted, .crashed, .migratedIn, .migratedOut,
            .removed,
        ]
        return [
            .hello(hello), .error(PluginFault(.unauthorized, "no")), .result(id: 1, ["state": "off"]),
            .fault(id: 2, PluginFault(.invalidState, "it is paused", details: ["state": "paused"])),
            .dropped(stream: 3, offset: 81920, bytes: 4096), .ping(id: 1), .pong(id: 2),
        ] + PluginStreamEnd.allCases.map { .end(stream: 3, $0) }
            + kinds.map {
                .event(
                    PluginEvent(sequence: 17, uuid: uuid, incarnation: 2, kind: $0, time: "2026-11-21T14:03:11.250Z")
                )
            }
    }
}

extension InstanceUUID {
    static var zero: InstanceUUID {
        guard let zero = InstanceUUID("00000000-0000-0000-0000-000000000000") else { preconditionFailure("a uuid") }
        return zero
    }
}
