import Console
import Foundation
import HostBackend
import SimulatedHost
import Support
import Synchronization
import TestSupport
import Testing

@testable import VMOps

/// Instances made anew under their identity.
@Suite(.timeLimit(.minutes(5))) struct RebuildTests {
    /// A running instance with disks of every kind, and the request to make it anew from another image.
    private static func withInstance(
        powerOn: Bool = true,
        _ body: (_ host: TestHost, _ again: SpawnRequest) async throws -> Void
    ) async throws {
        try await TestWorld.withHost { host in
            try host.world.image("image")
            try host.world.image("other")
            var request = host.request(
                newUUID(),
                powerOn: powerOn,
                volumes: [try host.world.volume()],
                interfaces: 1,
                image: "image",
                configDrive: true
            )
            request.rootGB = 1
            request.ephemeralGB = [1]
            _ = try await host.operations.spawn(request, host.context)
            if powerOn { try await host.awaitLog(request.uuid, contains: "login") }
            var again = request
            again.imageRef = "other"
            // What the record knows has the say.
            again.interfaces = []
            again.volumes = []
            try await body(host, again)
        }
    }

    private static func rebuild(_ host: TestHost, _ request: SpawnRequest, key: String = "rebuild") async throws
        -> InstanceInfo
    {
        let context = OperationContext(requestKey: key)
        return try await host.operations.rebuild(request, timeout: .zero, interval: .zero, context)
    }

    private static func files(_ host: TestHost, _ uuid: InstanceUUID) throws -> [String] {
        try namesInDirectory(host.directory(uuid)).filter(DiskNames.isDisk).sorted()
    }

    private static func expectWhole(_ host: TestHost, _ uuid: InstanceUUID, image: String) async throws {
        let record = try #require(try await host.record(uuid))
        #expect(record.imageRef == image && record.complete && record.move == nil)
        #expect(record.disks.map(\.role) == [.root, .ephemeral, .volume, .configDrive])
        let own = record.disks.filter { $0.role != .volume }.map(\.name)
        #expect(try files(host, uuid) == own.sorted())
        let root = try #require(record.disks.first)
        #expect(try await host.backend.diskInfo(root.path).backingFile?.hasSuffix("/\(image).raw") == true)
        let traces = try await host.traces(uuid)
        #expect(traces.filter { $0.hasPrefix("interface") }.count == 1)
        #expect(traces.filter { $0.hasPrefix("volume") } == ["volume volume-1"])
    }

    @Test func disksAndMachineAreNewAndTheRestStays() async throws {
        try await Self.withInstance { host, again in
            let uuid = again.uuid
            let before = try await host.backend.machine(uuid).incarnation
            let addresses = try #require(try await host.record(uuid)).disks.map(\.address)
            let info = try await Self.rebuild(host, again)
            #expect(info.state == "running" && info.imageRef == "other")
            try await Self.expectWhole(host, uuid, image: "other")
            #expect(try #require(try await host.record(uuid)).disks.map(\.address) == addresses)
            #expect(try await host.backend.machine(uuid).incarnation > before)
            #expect(try await host.marks(uuid).filter { $0 == .boot }.count == 2)
            // The same request once more changes nothing, another one does.
            let machine = try await host.backend.machine(uuid).incarnation
            _ = try await Self.rebuild(host, again)
            #expect(try await host.backend.machine(uuid).incarnation == machine)
            var third = again
            third.imageRef = "image"
            third.powerOn = false
            #expect(try await Self.rebuild(host, third, key: "another").state == "off")
            try await Self.expectWhole(host, uuid, image: "image")
            try await host.destroy(uuid)
            #expect(try await host.traces(uuid) == [])
        }
    }

    @Test(arguments: [Primitive.createDisk, .buildConfigDrive, .deleteMachine, .createMachine])
    func whatFailsBeforeTheNewOneIsThereLeavesTheOldOne(_ primitive: Primitive) async throws {
        try await Self.withInstance { host, again in
            let isFirst = Atomic<Bool>(true)
            host.world.simulated.setHook { _, called, _ in
                if called == primitive, isFirst.exchange(false, ordering: .relaxed) {
                    throw BackendError(.internal, "planned")
                }
            }
            #expect(try await errorClass { _ = try await Self.rebuild(host, again) } == "InstanceDeployFailure")
            host.world.simulated.setHook(nil)
            try await Self.expectWhole(host, again.uuid, image: "image")
            #expect(try await host.state(again.uuid) == "running")
            #expect(try await Self.rebuild(host, again).state == "running")
            try await Self.expectWhole(host, again.uuid, image: "other")
        }
    }

    /// The request comes again after the crash, as everything that was accepted.
    @Test(arguments: [Primitive.createDisk, .buildConfigDrive, .deleteMachine, .createMachine, .plugInterface])
    func aCrashIsNotTheEndOfIt(_ primitive: Primitive) async throws {
        try await Self.withInstance { host, again in
            try await RestartTests().kill(host, at: primitive, during: { _ = try await Self.rebuild(host, again) }) {
                hosts in
                #expect(try await Self.rebuild(hosts[0], again).state == "running")
                try await Self.expectWhole(hosts[0], again.uuid, image: "other")
                try await hosts[0].destroy(again.uuid)
                #expect(try await hosts[0].traces(again.uuid) == [])
            }
        }
    }

    @Test func whatIsNotHereOrOnTheMoveIsNotRebuilt() async throws {
        try await Self.withInstance { host, again in
            #expect(
                try await errorClass { _ = try await Self.rebuild(host, host.request(image: "image")) }
                    == "InstanceNotFound"
            )
            _ = try await host.resize(again.uuid, ResizeRequest(memoryMB: 128))
            #expect(try await errorClass { _ = try await Self.rebuild(host, again) } == "InstanceInvalidState")
        }
    }

    @Test func namesOfDisksAreToldFromOthers() {
        #expect(DiskNames().root("qcow2") == "root.qcow2")
        let disk = DiskAttachment(
            role: .root,
            path: "/instances/root-3.qcow2",
            format: "qcow2",
            address: DeviceAddress(bus: .ide, controller: 0, unit: 0)
        )
        #expect(DiskNames(after: [disk]).ephemeral(1, "raw") == "eph1-4.raw")
        for name in ["root.raw", "root-1.qcow2", "eph0-12.raw", "configdrive.iso", "root.qcow2.partial-12ab"] {
            #expect(DiskNames.isDisk(name), "\(name)")
        }
        for name in ["console.log", ".vmops-instance", "root", "roots.raw", "root-1-2.raw", "ephemeral.raw"] {
            #expect(!DiskNames.isDisk(name), "\(name)")
        }
    }
}
