import HostBackend
import JSONCodec
import Support

/// The command line of one machine, as a value (QEMU backend, section 3.2).
///
/// Every argument is a word of its own and no shell sees any. Disks are named nodes with explicit formats: nothing that
/// a guest writes into a raw disk can make QEMU open another file.
struct QEMUCommand: Sendable, Hashable {
    /// The number that the monitor's listening socket has in QEMU.
    static let monitorDescriptor: Int32 = 3

    /// Runs QEMU as somebody else, without any right to become root again (QEMU backend, section 3.3).
    struct Demotion: Sendable, Hashable {
        var setpriv: String
        var user: MachineUser
    }

    var binary: String
    var sandbox: Bool
    var diskBus: QEMUSettings.DiskBus
    var network: QEMUSettings.Network
    var demotion: Demotion?

    /// - Parameter incoming: it waits for a guest's memory instead of booting.
    /// - Returns: the program, an absolute path, and its arguments.
    func words(
        for record: MachineRecord,
        _ files: MachineFiles,
        incoming: Bool
    ) throws(BackendError) -> (executable: String, arguments: [String]) {
        let arguments = try arguments(for: record, files, incoming: incoming)
        return demoted(arguments, accelerator: record.platform.accelerator)
    }

    /// QEMU with these arguments, run as who it is to run as.
    func demoted(_ arguments: [String], accelerator: String) -> (executable: String, arguments: [String]) {
        guard let demotion else { return (binary, arguments) }
        let groups = accelerator == "kvm" ? ["--groups", "kvm"] : ["--clear-groups"]
        let prefix =
            ["--reuid", String(demotion.user.uid), "--regid", String(demotion.user.gid)] + groups
            + ["--no-new-privs", "--inh-caps=-all", "--bounding-set=-all", binary]
        return (demotion.setpriv, prefix + arguments)
    }

    private func arguments(
        for record: MachineRecord,
        _ files: MachineFiles,
        incoming: Bool
    ) throws(BackendError) -> [String] {
        let spec = record.spec
        let platform = record.platform
        var words = [
            "-name", "guest=\(Self.escaped(spec.name)),debug-threads=on",
            "-uuid", spec.uuid.text,
            "-machine", platform.machineType,
            "-accel", platform.accelerator,
            "-cpu", platform.cpuModel,
            "-smp", String(spec.vcpus),
            "-m", "\(spec.memoryMB)M",
            "-nodefaults", "-no-user-config", "-display", "none",
            // A guest that powers off leaves its last words and its reason to a worker that is away (section 4.3).
            "-action", "shutdown=pause",
            "-chardev", "socket,id=mon,fd=\(Self.monitorDescriptor),server=on,wait=off",
            "-mon", "chardev=mon,mode=control",
            "-chardev", "pipe,id=con,path=\(Self.escaped(files.console))",
            "-device", "isa-serial,chardev=con,index=0",
        ]
        for device in try devices(record) { words += [device.option, try Self.text(device.value)] }
        words += ["-msg", "timestamp=on"]
        if sandbox {
            words += ["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"]
        }
        if incoming { words += ["-S", "-incoming", "defer"] }
        return words
    }

    private func devices(
        _ record: MachineRecord
    ) throws(BackendError) -> [(option: String, value: JSONObject)] {
        let (spec, platform) = (record.spec, record.platform)
        var devices: [(option: String, value: JSONObject)] = []
        // Always there, so that volumes can be attached while the machine runs.
        devices.append(("-device", ["driver": "virtio-scsi-pci", "id": .string(DeviceNames.scsiController)]))
        // Before the disks, which get the places that are left.
        if network != .none { for port in InterfaceSlots.ports(platform) { devices.append(("-device", port)) } }
        for interface in spec.interfaces {
            guard let backend = interface.backend(network), let slot = record.slots[interface.id] else { continue }
            devices.append(("-netdev", backend))
            devices.append(("-device", interface.device(slot: slot, platform)))
        }
        for (place, disk) in DeviceNames.bootOrder(spec.disks).enumerated() {
            let isBootable = disk.role == .root || place == 0
            devices.append(("-blockdev", disk.node))
            devices.append(
                ("-device", try disk.device(diskBus, platform, bootIndex: isBootable ? place + 1 : nil))
            )
        }
        return devices
    }

    private static func text(_ value: JSONObject) throws(BackendError) -> String {
        do {
            return String(decoding: try JSONWriter.bytes(of: .object(value), .compact), as: UTF8.self)
        } catch {
            throw BackendError(.invalidArgument, "a device cannot be described to QEMU", cause: error)
        }
    }

    /// In options that are no JSON a comma is written twice.
    static func escaped(_ text: String) -> String {
        text.split(separator: ",", omittingEmptySubsequences: false).joined(separator: ",,")
    }
}

/// Whom QEMU runs as.
struct MachineUser: Sendable, Hashable {
    var name: String
    var uid: UInt32
    var gid: UInt32
}
