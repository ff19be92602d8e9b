import DiskImages
import Glibc
import HostBackend
import Support

/// The host's side of network interfaces: TAP devices in bridges that the operator has made.
///
/// A device of ours says in its alias whose it is, and no other is ever removed or taken. All calls may be repeated.
struct HostNetwork: Sendable {
    private static let deadline = Duration.seconds(15)
    private static let longestName = 15

    let mode: QEMUSettings.Network
    /// Who may open the devices; `nil` = we ourselves.
    let owner: MachineUser?
    let tools: Tools
    let work: FileWork

    /// Nova's VIF types that can be plugged.
    static func types(_ mode: QEMUSettings.Network) -> Set<String> {
        switch mode {
        case .tap: ["bridge", "tap"]
        // Nothing is plugged on the host, so the type does not matter.
        case .user, .none: ["bridge", "tap", "ovs", "hyperv", "unbound", "other"]
        }
    }

    /// Makes the interface's TAP device and puts it into its bridge; on failure nothing is left that was not there.
    ///
    /// - Throws: `unimplemented` for types that are not ours, `notFound` without the bridge, `conflict` when another
    ///   machine or somebody else has a device of that name, `unauthorized` without the right to make one.
    func plug(_ interface: NetworkInterface, of uuid: InstanceUUID) async throws {
        guard mode == .tap else { return }
        guard Self.types(mode).contains(interface.type) else {
            throw BackendError.unsupported("an interface of type \(interface.type)")
        }
        let device = try Self.checked(interface.tapName)
        let bridge = try interface.bridge.map { name throws(BackendError) in try Self.checked(name) }
        guard bridge != nil || interface.type == "tap" else {
            throw BackendError(.invalidArgument, "interface \(interface.id) names no bridge")
        }
        let (present, mtu) = try await work.run { _ in
            (try TapDevice(device), try bridge.map { name in try Self.maximumUnit(ofBridge: name) })
        }
        if let present {
            guard present.belongs(to: uuid) || present.alias.isEmpty else {
                throw BackendError(.conflict, "network device \(device) is another's: \(present.alias)")
            }
        } else {
            try await ip(["tuntap", "add", "dev", device, "mode", "tap"] + (owner.map { ["user", $0.name] } ?? []))
        }
        do {
            // One that was there without a name is the operator's, or was made when an earlier worker ended.
            var changes = ["link", "set", "dev", device]
            if present == nil || interface.type != "tap" { changes += ["alias", TapDevice.alias(uuid)] }
            if let bridge, let mtu { changes += ["mtu", String(mtu), "master", bridge] }
            try await ip(changes + ["up"])
        } catch {
            if present == nil { await unlessCancelled { try? await ip(["link", "delete", "dev", device]) } }
            throw error
        }
    }

    /// Removes the interface's TAP device if it is ours.
    func unplug(_ interface: NetworkInterface, of uuid: InstanceUUID) async throws {
        guard mode == .tap, Self.types(mode).contains(interface.type) else { return }
        let device = try Self.checked(interface.tapName)
        guard let present = try await work.run({ _ in try TapDevice(device) }) else { return }
        let isUnfinished = present.alias.isEmpty && interface.type != "tap"
        guard present.belongs(to: uuid) || isUnfinished else { return }
        do {
            try await ip(["link", "delete", "dev", device])
        } catch {
            if try await work.run({ _ in try TapDevice(device) }) != nil { throw error }
        }
    }

    private func ip(_ arguments: [String]) async throws(BackendError) {
        let places = ["ip", "/usr/sbin/ip", "/sbin/ip"]
        let command = places.first { tools.find(Tools.Tool(command: $0, package: "iproute2")) != nil } ?? places[0]
        do {
            _ = try await tools.run(
                Tools.Tool(command: command, package: "iproute2"),
                arguments,
                deadline: Self.deadline
            )
        } catch {
            guard error.message.contains("not permitted") else { throw error }
            throw BackendError(.unauthorized, "the worker may not make network devices: \(error.message)")
        }
    }

    /// Names come from requests: one that the kernel would not take, or `ip` would take for a word of its own, is
    /// refused.
    private static func checked(_ name: String) throws(BackendError) -> String {
        let isFine =
            (1...longestName).contains(name.utf8.count)
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                    UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                    true
                default: false
                }
            }
        guard isFine, let first = name.first, first.isLetter || first.isNumber else {
            throw BackendError(.invalidArgument, "\(name) is no name of a network device")
        }
        return name
    }

    private static func maximumUnit(ofBridge name: String) throws(BackendError) -> Int {
        guard try FileCalls.status("/sys/class/net/\(name)/bridge") != nil else {
            throw BackendError(.notFound, "there is no bridge \(name) on this host")
        }
        let text = String(
            decoding: try FileCalls.read("/sys/class/net/\(name)/mtu", offset: 0, count: 64),
            as: UTF8.self
        )
        return Int(text.filter(\.isNumber)) ?? 1500
    }
}

/// A TAP device that is there.
private struct TapDevice {
    let alias: String

    static func alias(_ uuid: InstanceUUID) -> String { "vmops \(uuid.text)" }

    /// `nil` if there is no such device. Throws `conflict` if it is one of another kind. Blocks for a moment.
    init?(_ name: String) throws(BackendError) {
        let directory = "/sys/class/net/\(name)"
        guard try FileCalls.status(directory) != nil else { return nil }
        guard try FileCalls.status(directory + "/tun_flags") != nil else {
            throw BackendError(.conflict, "network device \(name) is no TAP device")
        }
        let bytes = try FileCalls.read(directory + "/ifalias", offset: 0, count: 512)
        alias = String(decoding: bytes.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
    }

    func belongs(to uuid: InstanceUUID) -> Bool { alias == Self.alias(uuid) }
}
