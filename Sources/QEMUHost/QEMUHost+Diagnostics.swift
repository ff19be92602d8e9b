import DiskImages
package import HostBackend
import Processes
package import Support
import Synchronization

extension QEMUHost {
    /// Figures in the form of Nova's standardised diagnostics, and some of our own. Beside QEMU's and the kernel's
    /// answers nothing is waited for; a machine that is off has few.
    package func diagnostics(_ uuid: InstanceUUID) async throws -> JSONObject {
        let machine = try find(uuid)
        do {
            return try await machine.diagnostics()
        } catch {
            throw Self.backendError(error, "diagnostics of machine \(uuid)")
        }
    }
}

extension QEMUMachine {
    func diagnostics() async throws -> JSONObject {
        let record = record
        var figures: JSONObject = [
            "state": .string(record.state.rawValue),
            "driver": "qemu",
            "hypervisor": .string(record.platform.accelerator),
            "hypervisor_os": "linux",
            "machine_type": .string(record.platform.machineType),
            "config_drive": .bool(record.spec.disks.contains { $0.role == .configDrive }),
            "num_cpus": .int(Int64(record.spec.vcpus)),
            "num_disks": .int(Int64(record.spec.disks.count)),
            "num_nics": .int(Int64(record.spec.interfaces.count)),
        ]
        let isOn = state.withLock { !$0.isLingering && $0.record.process != nil }
        guard isOn, let process = record.process?.identity else { return figures }
        let threads = try await execute("query-cpus-fast").arrayValue ?? []
        let statistics = try await execute("query-blockstats").arrayValue ?? []
        let tapNames = services.command.network == .tap ? record.spec.interfaces : []
        let read = try await services.work.run { _ in
            (
                process: ProcessFigures(process),
                processors: threads.map { thread in
                    let time = thread["thread-id"]?.intValue.flatMap { ProcessFigures.time(ofThread: $0, of: process) }
                    return (id: thread["cpu-index"] ?? .null, time: time)
                },
                interfaces: tapNames.map { ($0.macAddress, InterfaceFigures(tap: $0.tapName)) }
            )
        }
        figures["cpu_details"] = .array(
            read.processors.map { ["id": $0.id, "time": $0.time.map { .int(Int64(clamping: $0)) } ?? .null] }
        )
        figures["disk_details"] = .array(
            record.spec.disks.map { disk in
                let own = statistics.first { $0["node-name"]?.stringValue == disk.nodeName }?["stats"]
                return Self.diskFigures(disk, own)
            }
        )
        figures["nic_details"] = .array(read.interfaces.map { .object($0.1.json(macAddress: $0.0)) })
        figures["memory_details"] = [
            "maximum": .int(Int64(record.spec.memoryMB)),
            "used": .int(Int64(clamping: (read.process?.residentKB ?? 0) >> 10)),
        ]
        if let own = read.process {
            figures["uptime"] = .int(Int64(clamping: own.seconds))
            figures["process"] = [
                "pid": .int(Int64(process.pid)),
                "cpu_time": .int(Int64(clamping: CPUTime.nanoseconds(of: process) ?? 0)),
                "resident_kb": .int(Int64(clamping: own.residentKB)),
            ]
        }
        return figures
    }

    private static func diskFigures(_ disk: DiskAttachment, _ statistics: JSONValue?) -> JSONValue {
        func number(_ names: String...) -> JSONValue { .int(names.reduce(0) { $0 + (statistics?[$1]?.intValue ?? 0) }) }
        return [
            "path": .string(disk.path),
            "read_bytes": number("rd_bytes"),
            "read_requests": number("rd_operations"),
            "write_bytes": number("wr_bytes"),
            "write_requests": number("wr_operations"),
            "errors_count": number("failed_rd_operations", "failed_wr_operations", "failed_flush_operations"),
        ]
    }
}
