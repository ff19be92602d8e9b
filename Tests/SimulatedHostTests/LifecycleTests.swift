import HostBackend
import HostConformance
import SimulatedHost
import Support
import Synchronization
import TestSupport
import Testing

/// Collects what a host reports.
final class EventLog: Sendable {
    private final class Store: Sendable {
        let events = Mutex<[MachineEvent]>([])
    }

    private let store = Store()
    private let task: Task<Void, Never>

    init(_ host: any HostBackend) {
        let stream = host.events()
        // Ends with the host's events; cancelled when the log goes, and nobody waits for it.
        task = Task { [store] in
            for await event in stream { store.events.withLock { $0.append(event) } }
        }
    }

    deinit { task.cancel() }

    var events: [MachineEvent] { store.events.withLock { $0 } }

    func kinds(_ uuid: InstanceUUID) -> [MachineEvent.Kind] { events.filter { $0.uuid == uuid }.map(\.kind) }

    /// Waits until exactly these kinds have come for the machine.
    func expect(_ uuid: InstanceUUID, _ kinds: [MachineEvent.Kind]) async throws {
        try await eventually("events \(kinds), there are \(self.kinds(uuid))") { self.kinds(uuid).count >= kinds.count }
        #expect(self.kinds(uuid) == kinds)
    }
}

@Suite(.timeLimit(.minutes(5))) struct LifecycleTests {
    private static let second = Duration.seconds(5)

    /// Brings a new machine into a state.
    private func machine(_ bench: Bench, _ host: SimulatedHost, in state: MachineState) async throws -> InstanceUUID {
        let spec = bench.spec()
        try await host.createMachine(spec)
        if state == .off { return spec.uuid }
        _ = try await host.setState(spec.uuid, .running, deadline: Self.second)
        switch state {
        case .paused: _ = try await host.setState(spec.uuid, .paused, deadline: Self.second)
        case .saved: _ = try await host.setState(spec.uuid, .saved, deadline: Self.second)
        case .error: try await host.writeConsole(spec.uuid, Array("crash\r".utf8))
        default: break
        }
        return spec.uuid
    }

    @Test(arguments: [MachineState.off, .running, .paused, .saved, .error], TargetState.allCases)
    func everyStateReachesItsTargetOrSaysWhyNot(from: MachineState, to target: TargetState) async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let uuid = try await machine(bench, host, in: from)
            #expect(try await host.machine(uuid).state == from)
            let isPossible: Bool
            switch target {
            case .running, .off: isPossible = true
            case .paused: isPossible = from == .running || from == .paused
            case .saved: isPossible = from == .running || from == .paused || from == .saved
            }
            if isPossible {
                #expect(try await host.setState(uuid, target, deadline: Self.second) == target.state)
                #expect(try await host.setState(uuid, target, deadline: Self.second) == target.state)
                #expect(try await host.machine(uuid).state == target.state)
            } else {
                #expect(
                    await code { _ = try await host.setState(uuid, target, deadline: Self.second) } == .invalidState
                )
                #expect(try await host.machine(uuid).state == from)
            }
            await host.disconnect()
        }
    }

    @Test func mutatingPrimitivesAreIdempotent() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let spec = bench.spec()
            try await host.createMachine(spec)
            try await host.createMachine(spec)
            var other = spec
            other.memoryMB += 1
            #expect(await code { try await host.createMachine(other) } == .alreadyExists)
            let nic = NetworkInterface(id: "nic", macAddress: "fa:16:3e:00:00:01")
            for _ in 1...2 {
                try await host.attachInterface(nic, to: spec.uuid)
                try await host.plugInterface(nic, of: spec.uuid)
            }
            #expect(bench.world.pluggedInterfaces.count == 1)
            for _ in 1...2 {
                try await host.detachInterface(id: "nic", from: spec.uuid)
                try await host.unplugInterface(nic, of: spec.uuid)
            }
            #expect(bench.world.pluggedInterfaces.isEmpty)
            for _ in 1...2 { try await host.deleteMachine(spec.uuid) }
            #expect(try await host.machines().isEmpty)
            #expect(await code { _ = try await host.machine(spec.uuid) } == .notFound)
            await host.disconnect()
        }
    }

    @Test func fileVolumesConnectAndAttach() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let path = bench.directory + "/volume"
            _ = try await host.createDisk(
                DiskRequest(path: path, format: "raw", source: .blank, virtualSize: 1 << 20)
            )
            let volume = VolumeConnection(volumeID: "v", type: "file", data: .init(["device_path": .string(path)]))
            for _ in 1...2 { #expect(try await host.connectVolume(volume) == path) }
            #expect(bench.world.connectedVolumes == [.init(host: "host-a", volumeID: "v", path: path)])
            let spec = bench.spec()
            try await host.createMachine(spec)
            let address = DeviceAddress(bus: .scsi, controller: 0, unit: 0)
            let disk = DiskAttachment(role: .volume, path: path, format: "raw", address: address, identifier: "v")
            for _ in 1...2 { try await host.attachDisk(disk, to: spec.uuid) }
            for _ in 1...2 { try await host.detachDisk(path: path, from: spec.uuid) }
            for _ in 1...2 { try await host.disconnectVolume(volume) }
            #expect(bench.world.connectedVolumes.isEmpty)
            let iscsi = VolumeConnection(volumeID: "v", type: "iscsi", data: .init([:]))
            #expect(await code { _ = try await host.connectVolume(iscsi) } == .unimplemented)
            await host.disconnect()
        }
    }

    @Test func eventsComeInOrderWithTheirIncarnation() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let log = EventLog(host)
            let spec = bench.spec()
            try await host.createMachine(spec)
            for target in [TargetState.running, .paused, .running, .saved, .running] {
                _ = try await host.setState(spec.uuid, target, deadline: Self.second)
            }
            _ = try await host.reset(spec.uuid)
            try await host.writeConsole(spec.uuid, Array("reboot\r".utf8))
            try await host.writeConsole(spec.uuid, Array("poweroff\r".utf8))
            _ = try await host.setState(spec.uuid, .running, deadline: Self.second)
            try await host.writeConsole(spec.uuid, Array("crash\r".utf8))
            _ = try await host.setState(spec.uuid, .off, deadline: Self.second)
            let first = try await host.machine(spec.uuid).incarnation
            try await host.deleteMachine(spec.uuid)
            try await log.expect(
                spec.uuid,
                [
                    .started, .paused, .resumed, .saved, .resumed, .rebooted, .stopped(.guest), .started,
                    .crashed, .stopped(.requested), .removed,
                ]
            )
            #expect(log.events.allSatisfy { $0.incarnation == first })
            #expect(log.events.map(\.sequence) == Array(1...UInt64(log.events.count)))
            try await host.createMachine(spec)
            #expect(try await host.machine(spec.uuid).incarnation > first)
            await host.disconnect()
        }
    }

    @Test func theGuestActsByItself() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let log = EventLog(host)
            let crash = try await bench.running(on: host, ["sim.crash_after_ms": "100"]).spec.uuid
            let off = try await bench.running(on: host, ["sim.poweroff_after_ms": "100"]).spec.uuid
            let reboot = try await bench.running(on: host, ["sim.reboot_after_ms": "100"]).spec.uuid
            bench.world.advance(by: .milliseconds(250))
            try await log.expect(crash, [.started, .crashed])
            try await log.expect(off, [.started, .stopped(.guest)])
            try await log.expect(reboot, [.started, .rebooted, .rebooted])
            #expect(host.machineIfKnown(crash)?.state == .error)
            await host.disconnect()
        }
    }

    @Test func shutdownRequestsMeetEveryKindOfGuest() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            func guest(_ metadata: [String: String]) async throws -> InstanceUUID {
                try await bench.running(on: host, metadata).spec.uuid
            }
            func ask(_ uuid: InstanceUUID) async throws -> ShutdownAnswer {
                try await host.requestShutdown(uuid, reason: "test")
            }
            let obeys = try await guest(["sim.shutdown_ms": "5000"])
            let ignores = try await guest(["sim.ignore_shutdown": "true"])
            let unsupported = try await guest(["sim.shutdown": "unsupported"])
            let late = try await guest(["sim.shutdown": "not_ready:2"])
            let booting = try await guest(["sim.boot_ms": "1000"])
            #expect(try await ask(obeys) == .accepted)
            #expect(try await ask(ignores) == .accepted)
            #expect(try await ask(unsupported) == .unsupported)
            #expect(try await ask(late) == .notReady)
            #expect(try await ask(late) == .notReady)
            #expect(try await ask(late) == .accepted)
            #expect(try await ask(booting) == .notReady)
            bench.world.advance(by: .milliseconds(4999))
            #expect(try await host.machine(obeys).state == .running)
            #expect(try await host.machine(late).state == .off)
            bench.world.advance(by: .milliseconds(1))
            #expect(try await host.machine(obeys).state == .off)
            #expect(try await host.machine(ignores).state == .running)
            #expect(await code { _ = try await ask(obeys) } == .invalidState)
            #expect(try await ask(booting) == .accepted)
            await host.disconnect()
        }
    }

    @Test func theHostHasBoundsAndSaysSo() async throws {
        try await withBench { bench in
            let host = try await bench.host { settings in
                settings.memoryMB = 600
                settings.vcpus = 1
                settings.diskGB = 1
            }
            let first = bench.spec("one")
            try await host.createMachine(first)
            try await host.createMachine(bench.spec("two"))
            #expect(try await host.hostInfo().memoryUsedMB == 512)
            #expect(await code { try await host.createMachine(bench.spec("three")) } == .resourceExhausted)
            try await host.deleteMachine(first.uuid)
            try await host.createMachine(bench.spec("three"))
            var wide = bench.spec("wide")
            wide.memoryMB = 1
            wide.startupMemoryMB = 1
            wide.vcpus = 17
            #expect(await code { try await host.createMachine(wide) } == .resourceExhausted)
            let path = bench.directory + "/disk"
            _ = try await host.createDisk(
                DiskRequest(path: path, format: "raw", source: .blank, virtualSize: 2 << 30)
            )
            var large = bench.spec("large")
            large.memoryMB = 1
            large.startupMemoryMB = 1
            let address = DeviceAddress(bus: .ide, controller: 0, unit: 0)
            large.disks = [DiskAttachment(role: .root, path: path, format: "raw", address: address)]
            #expect(await code { try await host.createMachine(large) } == .resourceExhausted)
            await host.disconnect()
        }
    }

    @Test func definitionsThatMakeNoSenseAreRefused() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            func refused(_ change: (inout MachineSpec) -> Void) async -> BackendError.Code? {
                var spec = bench.spec()
                change(&spec)
                return await code { try await host.createMachine(spec) }
            }
            #expect(await refused { $0.name = "" } == .invalidArgument)
            #expect(await refused { $0.name = "a\nb" } == .invalidArgument)
            #expect(await refused { $0.memoryMB = 0 } == .invalidArgument)
            #expect(await refused { $0.directory = "relative" } == .invalidArgument)
            #expect(await refused { $0.metadata = ["sim.boot_lines": "many"] } == .invalidArgument)
            #expect(await refused { $0.metadata = ["sim.no_such_key": "1"] } == .invalidArgument)
            #expect(await refused { $0.metadata = ["sim.fault.noSuch": "always internal"] } == .invalidArgument)
            let address = DeviceAddress(bus: .ide, controller: 0, unit: 0)
            let gone = DiskAttachment(role: .root, path: "/nonexistent/disk", format: "raw", address: address)
            #expect(await refused { $0.disks = [gone] } == .notFound)
            #expect(await refused { $0.disks = [gone, gone] } == .invalidArgument)
            #expect(try await host.machines().isEmpty)
            await host.disconnect()
        }
    }

    @Test func foreignMachinesAreListedAndLeftAlone() async throws {
        try await withBench { bench in
            let host = try await bench.host { $0.foreignMachines = ["theirs"] }
            try await host.createMachine(bench.spec("ours"))
            let all = try await host.machines()
            #expect(all.map(\.name) == ["ours", "theirs"])
            #expect(all.last?.uuid == nil)
            #expect(all.last?.state == .running)
            await host.disconnect()
        }
    }

    @Test func aHostOutOfServiceAnswersUnavailable() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let spec = bench.spec()
            try await host.createMachine(spec)
            let events = host.events()
            await host.disconnect()
            for await _ in events {}
            #expect(await code { _ = try await host.machine(spec.uuid) } == .unavailable)
            #expect(await code { try await host.createMachine(spec) } == .unavailable)
            #expect(host.machineIfKnown(spec.uuid) == nil)
        }
    }
}
