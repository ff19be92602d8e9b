import HostBackend
import Support

/// Where network interfaces sit, so that they can come and go while the machine runs and are found at the same place
/// when its memory is read back.
enum InterfaceSlots {
    /// The most interfaces of one machine.
    static let count = 8
    /// A PCI device number that nothing else gets by itself; on older chipsets the first of ``count``.
    private static let firstDevice = 0x10

    /// The root complex of `q35` takes nothing while the machine runs; its root ports take one device each.
    static func ports(_ platform: Platform) -> [JSONObject] {
        guard platform.hasRootPorts else { return [] }
        return (0..<count).map { slot in
            var port: JSONObject = [
                "driver": "pcie-root-port", "id": .string(portName(slot)), "bus": "pcie.0",
                "addr": .string("0x\(String(firstDevice, radix: 16)).\(slot)"),
                "chassis": .int(Int64(slot + 1)), "slot": .int(Int64(slot + 1)),
            ]
            if slot == 0 { port["multifunction"] = true }
            return port
        }
    }

    /// The part of a device's description that says where it is.
    static func place(_ slot: Int, _ platform: Platform) -> JSONObject {
        if platform.hasRootPorts { return ["bus": .string(portName(slot))] }
        return ["bus": "pci.0", "addr": .string("0x\(String(firstDevice + slot, radix: 16))")]
    }

    private static func portName(_ slot: Int) -> String { "port\(slot)" }
}

extension Platform {
    fileprivate var hasRootPorts: Bool { machineType.contains("q35") }
}

extension MachineRecord {
    /// Gives each interface a slot that has none, and takes those back whose interface is gone, `candidate` excepted.
    ///
    /// - Throws: `resourceExhausted` when there are too many.
    mutating func assignSlots(adding candidate: String? = nil) throws(BackendError) {
        let ids = spec.interfaces.map(\.id) + [candidate].compactMap(\.self)
        slots = slots.filter { ids.contains($0.key) }
        for id in ids where slots[id] == nil {
            let taken = Set(slots.values)
            guard let free = (0..<InterfaceSlots.count).first(where: { !taken.contains($0) }) else {
                throw BackendError(
                    .resourceExhausted,
                    "machine \(spec.uuid) has \(InterfaceSlots.count) interfaces, which is the most"
                )
            }
            slots[id] = free
        }
    }
}
