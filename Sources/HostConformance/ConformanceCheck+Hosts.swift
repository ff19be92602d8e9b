import HostBackend

extension ConformanceCheck {
    static let hosts = [
        ConformanceCheck("the host can be used, and says what it is", section: "7.1") { subject in
            try await subject.host.probe()
            let info = try await subject.host.hostInfo()
            try check(info.vcpus > 0, "vcpus above 0", seen: "\(info.vcpus)")
            try check(info.memoryMB > 0, "memory_mb above 0", seen: "\(info.memoryMB)")
            try check(
                (0...info.memoryMB).contains(info.memoryUsedMB),
                "memory_used_mb between 0 and \(info.memoryMB)",
                seen: "\(info.memoryUsedMB)"
            )
            try check(
                (0...max(0, info.diskGB)).contains(info.diskUsedGB),
                "disk_used_gb between 0 and disk_gb, which is \(info.diskGB)",
                seen: "\(info.diskUsedGB)"
            )
            for (name, text) in [
                ("hypervisor_type", info.hypervisorType), ("hypervisor_hostname", info.hypervisorHostname),
                ("cpu.architecture", info.cpuArchitecture), ("vm_mode", info.vmMode),
            ] {
                try check(!text.isEmpty, "\(name) is not empty", seen: "an empty string")
            }
        }
    ]
}
