import HostBackend
import OpenStackAPI
import Support

/// What a host is at the placement service (Nova's compute RPC, section 5.1).
struct ProviderFacts: Sendable {
    private static let disabled = "COMPUTE_STATUS_DISABLED"
    /// Those that the host gives and takes; all others of the provider are an operator's.
    private static let own: Set<String> = [
        "COMPUTE_NODE", "OWNER_NOVA", disabled, "COMPUTE_IMAGE_TYPE_RAW", "COMPUTE_IMAGE_TYPE_QCOW2",
        "COMPUTE_IMAGE_TYPE_VHD", "COMPUTE_IMAGE_TYPE_VHDX",
    ]

    let uuid: String
    let host: HostInfo
    let name: String
    let isDisabled: Bool
    let settings: NovaSettings

    var provider: PlacementProvider {
        var inventories: [String: PlacementInventory] = [:]
        inventories["VCPU"] = inventory(
            host.vcpus,
            reserved: settings.reservedCPUs,
            settings.cpuAllocationRatio,
            initial: settings.initialCPUAllocationRatio
        )
        inventories["MEMORY_MB"] = inventory(
            host.memoryMB,
            reserved: settings.reservedMemoryMB,
            settings.ramAllocationRatio,
            initial: settings.initialRAMAllocationRatio
        )
        inventories["DISK_GB"] = inventory(
            host.diskGB,
            reserved: (settings.reservedDiskMB + 1023) / 1024,
            settings.diskAllocationRatio,
            initial: settings.initialDiskAllocationRatio
        )
        return PlacementProvider(
            uuid: uuid,
            name: name,
            inventories: inventories,
            traits: isDisabled ? Self.own : Self.own.subtracting([Self.disabled]),
            ownTraits: Self.own
        )
    }

    /// The service takes no inventory of nothing, and none of which more is kept back than there is.
    private func inventory(_ total: Int, reserved: Int, _ ratio: Double?, initial: Double) -> PlacementInventory? {
        guard total > 0 else { return nil }
        return PlacementInventory(
            total: total,
            reserved: min(reserved, total),
            allocationRatio: ratio ?? initial,
            keepsRatio: ratio == nil
        )
    }
}
