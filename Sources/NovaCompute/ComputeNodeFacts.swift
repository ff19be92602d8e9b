import HostBackend
import NovaObjects
import Support
import VMOps

/// What a compute node's record says of its host (Nova's compute RPC, section 6.2).
struct ComputeNodeFacts: Sendable {
    /// The names that the class allows; a hypervisor of another name is none that a scheduler could choose by.
    private static let hypervisors: Set<String> = [
        "baremetal", "bhyve", "docker", "fake", "hyperv", "ironic", "kvm", "lxc", "lxd", "openvz", "parallels", "vz",
        "phyp", "qemu", "test", "uml", "vbox", "vmware", "xen", "zvm",
    ]

    let host: HostInfo
    let used: Commitments
    /// The line of `uptime`; with it listings of hypervisors need not ask the host.
    let uptime: String
    let settings: NovaSettings

    /// Everything but the identity; of ratios only those that are the host's to say.
    func fields() throws(NovaObjectError) -> JSONObject {
        var fields = try capacity()
        for (name, ratio, _) in Self.ratios(settings) { if let ratio { fields[name] = .double(ratio) } }
        return fields
    }

    /// What a new record has beside ``fields()``.
    static func initialFields(_ settings: NovaSettings) -> JSONObject {
        JSONObject(ratios(settings).filter { $0.ratio == nil }.map { ($0.name, .double($0.initial)) })
    }

    private static func ratios(_ settings: NovaSettings) -> [(name: String, ratio: Double?, initial: Double)] {
        [
            ("cpu_allocation_ratio", settings.cpuAllocationRatio, settings.initialCPUAllocationRatio),
            ("ram_allocation_ratio", settings.ramAllocationRatio, settings.initialRAMAllocationRatio),
            ("disk_allocation_ratio", settings.diskAllocationRatio, settings.initialDiskAllocationRatio),
        ]
    }

    private func capacity() throws(NovaObjectError) -> JSONObject {
        let memoryUsed = settings.reservedMemoryMB + used.memoryMB
        let diskUsed = (settings.reservedDiskMB + 1023) / 1024 + used.diskGB
        return [
            "vcpus": count(host.vcpus), "memory_mb": count(host.memoryMB), "local_gb": count(host.diskGB),
            "vcpus_used": count(used.vcpus), "memory_mb_used": count(memoryUsed), "local_gb_used": count(diskUsed),
            "free_ram_mb": count(host.memoryMB - memoryUsed), "free_disk_gb": count(host.diskGB - diskUsed),
            "disk_available_least": count(host.diskGB - max(diskUsed, host.diskUsedGB)),
            "running_vms": count(used.instances), "current_workload": count(used.operations),
            "hypervisor_type": .string(host.hypervisorType), "hypervisor_version": count(host.hypervisorVersion),
            "cpu_info": .string(try NetworkInfo.text(processor)), "numa_topology": .null, "metrics": "[]",
            "stats": [
                "num_instances": .string("\(used.instances)"), "num_vm_active": .string("\(used.running)"),
                "io_workload": .string("\(used.operations)"), "uptime": .string(uptime),
            ],
            "supported_hv_specs": .array([hypervisor.primitive]),
            "pci_device_pools": settings.versions.make("PciDevicePoolList", ["objects": .array([])]).primitive,
            "host_ip": settings.address.map(JSONValue.string) ?? .null,
        ]
    }

    private var processor: JSONValue {
        [
            "arch": .string(host.cpuArchitecture), "model": .string(host.cpuModel), "vendor": .string(host.cpuVendor),
            "topology": [
                "sockets": count(host.cpuSockets), "cores": count(host.cpuCores), "threads": count(host.cpuThreads),
            ],
            "features": .array(host.cpuFeatures.map(JSONValue.string)),
        ]
    }

    private var hypervisor: NovaObject {
        let kind = host.hypervisorType.lowercased()
        return settings.versions.make(
            "HVSpec",
            [
                "arch": .string(host.cpuArchitecture),
                "hv_type": .string(Self.hypervisors.contains(kind) ? kind : "fake"),
                "vm_mode": .string(host.vmMode),
            ]
        )
    }

    private func count(_ number: Int) -> JSONValue { .int(Int64(number)) }
}
