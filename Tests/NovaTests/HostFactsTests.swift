import HostBackend
import OpenStackAPI
import Support
import Testing

@testable import NovaCompute

/// What a host says of itself to the scheduler.
@Suite struct HostFactsTests {
    private static let host = HostInfo(
        vcpus: 16,
        memoryMB: 65_536,
        memoryUsedMB: 0,
        diskGB: 1000,
        diskUsedGB: 0,
        hypervisorType: "QEMU",
        hypervisorVersion: 7002,
        hypervisorHostname: "host-a",
        cpuArchitecture: "x86_64",
        cpuModel: "any",
        cpuVendor: "any",
        cpuSockets: 1,
        cpuCores: 16,
        cpuThreads: 1,
        cpuFeatures: []
    )

    private static func inventories(_ settings: NovaSettings) -> [String: PlacementInventory] {
        ProviderFacts(uuid: "u", host: host, name: "host-a", isDisabled: false, settings: settings).provider.inventories
    }

    @Test func reservedAmountsAndRatiosAreTheConfigurations() {
        var settings = NovaSettings()
        settings.reservedCPUs = 2
        settings.reservedMemoryMB = 4096
        settings.reservedDiskMB = 1025
        settings.ramAllocationRatio = 1.5
        settings.initialCPUAllocationRatio = 8
        let inventories = Self.inventories(settings)
        #expect(inventories["VCPU"]?.reserved == 2)
        #expect(inventories["MEMORY_MB"]?.reserved == 4096)
        #expect(inventories["DISK_GB"]?.reserved == 2)
        #expect(inventories["VCPU"]?.allocationRatio == 8)
        #expect(inventories["VCPU"]?.keepsRatio == true)
        #expect(inventories["MEMORY_MB"]?.allocationRatio == 1.5)
        #expect(inventories["MEMORY_MB"]?.keepsRatio == false)
        let fields = ComputeNodeFacts.initialFields(settings)
        #expect(fields["cpu_allocation_ratio"] == .double(8))
        #expect(fields["ram_allocation_ratio"] == nil)
    }

    @Test func noMoreIsReservedThanThereIs() {
        var settings = NovaSettings()
        settings.reservedCPUs = 100
        #expect(Self.inventories(settings)["VCPU"]?.reserved == 16)
    }
}
