import HostBackend

extension ConformanceCheck {
    static let devices = [
        ConformanceCheck(
            "a disk is attached and detached while the machine runs, each twice",
            section: "7.4",
            needs: [.hotplugDisk]
        ) {
            subject in
            let host = subject.host
            try await subject.withRunning("hotplug") { spec in
                try await guestIsUp(spec, subject)
                let request = try await blank("volume.disk", subject)
                _ = try await host.createDisk(request)
                let disk = DiskAttachment(
                    role: .volume,
                    path: request.path,
                    format: request.format,
                    address: DeviceAddress(bus: .scsi, controller: 0, unit: 1),
                    identifier: "6b6d9c9e-6f0e-4a0b-8e9c-5a1f0f4e2d10"
                )
                for _ in 1...2 { try await host.attachDisk(disk, to: spec.uuid) }
                for _ in 1...2 { try await host.detachDisk(path: disk.path, from: spec.uuid) }
                try checkEqual(try await host.machine(spec.uuid).state, .running, "the machine's state")
            }
        },
        ConformanceCheck("an interface is attached and detached, each twice", section: "7.4", needs: [.hotplugNIC]) {
            subject in
            let host = subject.host
            guard let interface = subject.newInterface() else { throw CheckSkipped("no network was named to try") }
            // Detaching from a running machine needs a guest that lets go; a machine that is off has none.
            try await subject.withMachine("interface", bare: true) { spec in
                for _ in 1...2 { try await host.plugInterface(interface, of: spec.uuid) }
                for _ in 1...2 { try await host.attachInterface(interface, to: spec.uuid) }
                for _ in 1...2 { try await host.detachInterface(id: interface.id, from: spec.uuid) }
                for _ in 1...2 { try await host.unplugInterface(interface, of: spec.uuid) }
            }
        },
        ConformanceCheck(
            "a request to shut down is answered and not waited for",
            section: "7.2",
            needs: [.softShutdown]
        ) { subject in
            try await subject.withRunning("shutdown") { spec in
                // Each of the three answers is right; that there is one is what counts.
                _ = try await subject.host.requestShutdown(spec.uuid, reason: "conformance")
                _ = try await subject.host.machine(spec.uuid)
            }
        },
        ConformanceCheck("a machine's figures can be read, and its jobs cancelled", section: "7.2") { subject in
            try await subject.withRunning("figures") { spec in
                let status = try await subject.host.machine(spec.uuid)
                if let count = status.cpuCount { try checkEqual(count, spec.vcpus, "cpu_count") }
                if let memory = status.maxMemoryKB {
                    try check(
                        memory >= UInt64(spec.memoryMB) << 10,
                        "max_memory_kb of the definition",
                        seen: "\(memory)"
                    )
                }
                if subject.host.capabilities.has(.diagnostics) { _ = try await subject.host.diagnostics(spec.uuid) }
                try await subject.host.cancelJobs(spec.uuid)
                try checkEqual(try await subject.host.machine(spec.uuid).state, .running, "the machine's state")
            }
        },
    ]

    /// Only a guest that has booted lets a disk go.
    private static func guestIsUp(_ spec: MachineSpec, _ subject: any ConformanceSubject) async throws {
        guard subject.host.capabilities.has(.consoleOutput), subject.bootText != nil else { return }
        try await subject.booted(ConsoleReader(subject.host.openConsole(spec.uuid)))
    }
}
