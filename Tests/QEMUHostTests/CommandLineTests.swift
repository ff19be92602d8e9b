import HostBackend
import Support
import Testing

@testable import QEMUHost

@Suite struct CommandLineTests {
    private static let uuid = newUUID()
    private static let files = MachineFiles(stateDirectory: "/s,t", uuid: uuid)

    private func words(
        _ disks: [DiskAttachment] = [],
        _ interfaces: [NetworkInterface] = [],
        machineType: String = "pc-q35-7.2",
        accelerator: String = "tcg",
        incoming: Bool = false,
        change: (inout QEMUCommand) -> Void = { _ in }
    ) throws -> (executable: String, arguments: [String]) {
        var command = QEMUCommand(
            binary: "/usr/bin/qemu",
            sandbox: true,
            diskBus: .virtio,
            network: .none,
            demotion: nil
        )
        change(&command)
        let spec = MachineSpec(
            uuid: Self.uuid,
            name: "a,b=c",
            directory: "/i",
            memoryMB: 512,
            vcpus: 2,
            disks: disks,
            interfaces: interfaces
        )
        let platform = Platform(machineType: machineType, cpuModel: "qemu64", accelerator: accelerator)
        var record = MachineRecord(spec: spec, incarnation: 1, platform: platform)
        try record.assignSlots()
        return try command.words(for: record, Self.files, incoming: incoming)
    }

    private func disk(
        _ role: DiskAttachment.Role,
        _ path: String,
        _ bus: DeviceAddress.Bus,
        _ controller: Int,
        _ unit: Int
    ) -> DiskAttachment {
        DiskAttachment(
            role: role,
            media: role == .configDrive ? .cdrom : .disk,
            path: path,
            format: role == .configDrive ? "raw" : "qcow2",
            address: DeviceAddress(bus: bus, controller: controller, unit: unit)
        )
    }

    /// The values of an option, in order.
    private func values(_ option: String, _ words: [String]) -> [String] {
        words.indices.filter { words[$0] == option }.map { words[$0 + 1] }
    }

    @Test func everyMachineIsConfinedAndHasAMonitorAndAConsole() throws {
        let (executable, arguments) = try words()
        #expect(executable == "/usr/bin/qemu")
        #expect(arguments.contains("-nodefaults") && arguments.contains("-no-user-config"))
        #expect(values("-machine", arguments) == ["pc-q35-7.2"])
        #expect(values("-m", arguments) == ["512M"] && values("-smp", arguments) == ["2"])
        #expect(values("-action", arguments) == ["shutdown=pause"])
        #expect(values("-mon", arguments) == ["chardev=mon,mode=control"])
        #expect(
            values("-sandbox", arguments)
                == ["on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"]
        )
        #expect(!arguments.contains("-incoming") && !arguments.contains("-drive"))
    }

    @Test func commasInNamesAndPathsStartNoOption() throws {
        let arguments = try words().arguments
        #expect(values("-name", arguments) == ["guest=a,,b=c,debug-threads=on"])
        #expect(values("-chardev", arguments)[1] == "pipe,id=con,path=/s,,t/\(Self.uuid)/con")
    }

    @Test func disksAreNodesWithTheirFormatAndTheRootComesFirst() throws {
        let arguments = try words([
            disk(.configDrive, "/i/c.iso", .ide, 1, 0), disk(.root, "/i/r\"x", .ide, 0, 0),
            disk(.volume, "/v", .scsi, 0, 5),
        ]).arguments
        #expect(
            values("-blockdev", arguments) == [
                #"{"driver":"qcow2","node-name":"disk-ide0-0","file":{"driver":"file","filename":"/i/r\"x"},"#
                    + #""discard":"unmap"}"#,
                #"{"driver":"raw","node-name":"disk-ide1-0","file":{"driver":"file","filename":"/i/c.iso","#
                    + #""read-only":true},"read-only":true}"#,
                #"{"driver":"qcow2","node-name":"disk-scsi0-5","file":{"driver":"file","filename":"/v"},"#
                    + #""discard":"unmap"}"#,
            ]
        )
        #expect(
            values("-device", arguments).dropFirst() == [
                #"{"driver":"virtio-scsi-pci","id":"scsi0"}"#,
                #"{"driver":"virtio-blk-pci","drive":"disk-ide0-0","id":"dev-ide0-0","bootindex":1}"#,
                #"{"driver":"virtio-blk-pci","drive":"disk-ide1-0","id":"dev-ide1-0"}"#,
                #"{"driver":"scsi-hd","bus":"scsi0.0","scsi-id":5,"lun":0,"drive":"disk-scsi0-5","id":"dev-scsi0-5"}"#,
            ]
        )
    }

    @Test func ideAddressesAreKeptWhereGuestsNeedThem() throws {
        let disks = [disk(.root, "/r", .ide, 0, 0), disk(.configDrive, "/c", .ide, 1, 0)]
        func devices(_ machineType: String) throws -> [String] {
            values("-device", try words(disks, machineType: machineType) { $0.diskBus = .ide }.arguments).suffix(2)
        }
        #expect(
            try devices("pc-i440fx-7.2") == [
                #"{"driver":"ide-hd","bus":"ide.0","unit":0,"drive":"disk-ide0-0","id":"dev-ide0-0","bootindex":1}"#,
                #"{"driver":"ide-cd","bus":"ide.1","unit":0,"drive":"disk-ide1-0","id":"dev-ide1-0"}"#,
            ]
        )
        #expect(try devices("pc-q35-7.2")[1].contains(#""bus":"ide.2","unit":0"#))
    }

    @Test func interfacesSitWhereTheyCanComeAndGo() throws {
        let interface = NetworkInterface(id: "ab12-cd", macAddress: "52:54:00:00:00:01")
        #expect(values("-netdev", try words([], [interface]).arguments).isEmpty)
        func devices(_ machineType: String) throws -> [String] {
            let words = try words([], [interface], machineType: machineType) { $0.network = .user }.arguments
            #expect(values("-netdev", words) == [#"{"type":"user","id":"net-ab12cd"}"#])
            return values("-device", words)
        }
        let modern = try devices("pc-q35-7.2")
        #expect(modern.filter { $0.contains("pcie-root-port") }.count == InterfaceSlots.count)
        #expect(modern.last?.contains(#""mac":"52:54:00:00:00:01","bus":"port0""#) == true)
        let old = try devices("pc-i440fx-7.2")
        #expect(old.count == 3 && old[2].contains(#""bus":"pci.0","addr":"0x10""#))
    }

    @Test func aSlotIsKeptUntilItsInterfaceGoes() throws {
        func interface(_ id: String) -> NetworkInterface { NetworkInterface(id: id, macAddress: "") }
        var record = MachineRecord(
            spec: MachineSpec(
                uuid: Self.uuid,
                name: "m",
                directory: "/i",
                memoryMB: 1,
                vcpus: 1,
                interfaces: [interface("a"), interface("b")]
            ),
            incarnation: 1,
            platform: Platform(machineType: "pc-q35-7.2", cpuModel: "qemu64", accelerator: "tcg")
        )
        try record.assignSlots()
        record.spec.interfaces.removeFirst()
        try record.assignSlots(adding: "c")
        #expect(record.slots == ["b": 1, "c": 0])
        #expect(try MachineRecord(json: record.json).slots == record.slots)
        record.spec.interfaces = (0..<InterfaceSlots.count).map { interface("\($0)") }
        let error = #expect(throws: BackendError.self) { try record.assignSlots(adding: "d") }
        #expect(error?.code == .resourceExhausted)
    }

    @Test func blockDevicesHaveADriverOfTheirOwn() {
        func driver(_ path: String) -> JSONValue? { disk(.volume, path, .scsi, 0, 0).node["file"]?["driver"] }
        #expect(driver("/dev/vg/lv") == "host_device")
        #expect(driver("/dev/shm/file") == "file" && driver("/srv/dev/file") == "file")
        var volume = disk(.volume, "/v", .scsi, 0, 0)
        volume.format = "vhd"
        #expect(volume.node["driver"] == "vpc", "QEMU has a name of its own for some formats")
    }

    @Test func anotherUserMeansNoRightsAtAll() throws {
        let user = MachineUser(name: "q", uid: 1234, gid: 567)
        let demoted = { (command: inout QEMUCommand) in
            command.demotion = QEMUCommand.Demotion(setpriv: "/usr/bin/setpriv", user: user)
        }
        let (executable, arguments) = try words(change: demoted)
        #expect(executable == "/usr/bin/setpriv")
        #expect(
            Array(arguments.prefix(9)) == [
                "--reuid", "1234", "--regid", "567", "--clear-groups", "--no-new-privs", "--inh-caps=-all",
                "--bounding-set=-all", "/usr/bin/qemu",
            ]
        )
        // The only group that is of use: that of /dev/kvm.
        #expect(try words(accelerator: "kvm", change: demoted).arguments.contains("--groups"))
    }

    @Test func aGuestOnItsWayInIsWaitedFor() throws {
        let arguments = try words(incoming: true).arguments
        #expect(values("-incoming", arguments) == ["defer"] && arguments.contains("-S"))
    }
}
