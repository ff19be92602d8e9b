import HostBackend
import Testing

@testable import PluginServer

/// Which paths a served host takes from its worker.
@Suite struct ServedPathTests {
    private let paths = ServedPaths(instances: "/state/a/instances/", images: ["/state/images"])

    /// The member that a refusal names; `nil` = the path is taken.
    private func refused(_ body: () throws -> Void) -> String? {
        do {
            try body()
            return nil
        } catch {
            return (error as? ServedPaths.Refusal)?.field ?? "\(error)"
        }
    }

    @Test(arguments: [
        "", "/", "instances/disk", "/state/a/instances", "/state/a/instances/", "/state/a/instances.outside/disk",
        "/state/a/instances/../outside", "/state/a/instances/./disk", "/state/a/instances//disk",
        "/state/a/instances/x/", "/etc/passwd", "/state/images/cirros.raw", "/state/a/instances/x\0/y",
    ])
    func whatIsNotOfAnInstanceIsRefused(path: String) {
        #expect(refused { _ = try paths.instance(path, "path") } == "path")
    }

    @Test func filesOfInstancesAndImagesAreTaken() {
        #expect(refused { _ = try paths.instance("/state/a/instances/x/root.raw", "path") } == nil)
        #expect(refused { _ = try paths.instanceOrImage("/state/images/cirros.raw", "path") } == nil)
        #expect(refused { _ = try paths.instanceOrImage("/state/images/../x", "path") } == "path")
    }

    @Test func withoutADirectoryNothingIsTaken() {
        let none = ServedPaths(instances: "", images: [""])
        #expect(refused { _ = try none.instanceOrImage("/x", "path") } == "path")
    }

    @Test func aDefinitionIsRefusedByTheMemberThatIsOutside() throws {
        let uuid = try #require(InstanceUUID("8b000000-0000-4000-8000-000000000001"))
        var spec = MachineSpec(uuid: uuid, name: "vm", directory: "/state/a/instances/8b", memoryMB: 64, vcpus: 1)
        let address = DeviceAddress(bus: .ide, controller: 0, unit: 0)
        func disk(_ role: DiskAttachment.Role, _ path: String) -> DiskAttachment {
            DiskAttachment(role: role, path: path, format: "raw", address: address)
        }
        spec.disks = [disk(.root, "/state/a/instances/8b/root"), disk(.volume, "/dev/sdx")]
        #expect(refused { _ = try paths.instance(spec) } == nil)
        spec.disks.append(disk(.ephemeral, "/dev/sda"))
        #expect(refused { _ = try paths.instance(spec) } == "spec.disks[2].path")
        spec.directory = "/root"
        #expect(refused { _ = try paths.instance(spec) } == "spec.directory")
    }

    @Test func anImageIsReadFromWhereImagesAre() {
        func request(_ image: String) -> DiskRequest {
            let info = ImageInfo(reference: "i", path: image, format: "raw", virtualSize: 1)
            return DiskRequest(path: "/state/a/instances/x/root", format: "raw", source: .copy(info), virtualSize: 1)
        }
        #expect(refused { _ = try paths.disk(request("/state/images/i.raw")) } == nil)
        #expect(refused { _ = try paths.disk(request("/etc/shadow")) } == "image.path")
    }
}
