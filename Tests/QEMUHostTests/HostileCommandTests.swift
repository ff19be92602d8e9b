import HostBackend
import JSONCodec
import Support
import Testing

@testable import QEMUHost

/// What clients and guests can do to the command line of a QEMU.
@Suite struct HostileCommandTests {
    private func words(_ name: String, demotion: QEMUCommand.Demotion? = nil) throws -> (
        executable: String, arguments: [String]
    ) {
        let uuid = newUUID()
        let spec = MachineSpec(
            uuid: uuid,
            name: name,
            directory: "/i/" + uuid.text,
            memoryMB: 16,
            vcpus: 1,
            disks: [
                DiskAttachment(
                    role: .root,
                    path: "/i/a,file=/etc/passwd",
                    format: "raw",
                    address: DeviceAddress(bus: .ide, controller: 0, unit: 0)
                )
            ]
        )
        let record = MachineRecord(
            spec: spec,
            incarnation: 1,
            platform: Platform(machineType: "pc", cpuModel: "max", accelerator: "tcg")
        )
        let command = QEMUCommand(
            binary: "/usr/bin/qemu-system-x86_64",
            sandbox: true,
            diskBus: .ide,
            network: .none,
            demotion: demotion
        )
        return try command.words(for: record, MachineFiles(stateDirectory: "/s", uuid: uuid), incoming: false)
    }

    @Test(arguments: ["vm", "a,process=x", "-vm", "a b", "x\"y", "a,,b", ",", "a=b"])
    func aNameStaysAName(_ name: String) throws {
        let plain = try words("vm").arguments
        let hostile = try words(name).arguments
        #expect(hostile.count == plain.count)
        let place = try #require(hostile.firstIndex(of: "-name"))
        // QEMU reads two commas as one that separates nothing.
        let value = hostile[place + 1].replacing(",,", with: "\u{0}").split(separator: ",")
        #expect(value.map { $0.replacing("\u{0}", with: ",") } == ["guest=\(name)", "debug-threads=on"])
    }

    @Test func disksAreNamedWithTheirFormatAndNeverLookedInto() throws {
        let arguments = try words("vm").arguments
        let place = try #require(arguments.firstIndex(of: "-blockdev"))
        let node = try JSONReader.read(Array(arguments[place + 1].utf8))
        #expect(node["driver"] == "raw")
        #expect(node["file"]?["driver"] == "file")
        #expect(node["file"]?["filename"] == "/i/a,file=/etc/passwd")
        #expect(!arguments.contains("-drive") && !arguments.contains("-hda"))
    }

    @Test func aQEMUHasNoMoreRightsThanItNeeds() throws {
        let user = MachineUser(name: "vm", uid: 1234, gid: 1235)
        let (program, arguments) = try words("vm", demotion: .init(setpriv: "/usr/bin/setpriv", user: user))
        #expect(program == "/usr/bin/setpriv")
        #expect(arguments.prefix(5) == ["--reuid", "1234", "--regid", "1235", "--clear-groups"])
        #expect(Set(arguments).isSuperset(of: ["--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"]))
        let sandbox = try #require(arguments.firstIndex(of: "-sandbox"))
        for word in ["obsolete=deny", "elevateprivileges=deny", "spawn=deny", "resourcecontrol=deny"] {
            #expect(arguments[sandbox + 1].contains(word))
        }
        #expect(arguments.contains("-nodefaults") && arguments.contains("-no-user-config"))
    }
}
