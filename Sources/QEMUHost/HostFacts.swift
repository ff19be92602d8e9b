import DiskImages
import Glibc
import HostBackend
import Logging
import Support
import SystemPackage

/// What is found out about the computer and its QEMU once, when the host connects.
struct HostFacts: Sendable, Hashable {
    /// An absolute path.
    var binary: String
    var major: Int
    var minor: Int
    /// `kvm` or `tcg`.
    var accelerator: String
    /// Names the kernel's present run.
    var bootID: String
    var cpu: CPUFacts

    /// Never the plain name, which means something else after an upgrade (QEMU backend, section 3.2).
    var newestMachineType: String { "pc-q35-\(major).\(minor)" }

    static func find(
        _ settings: QEMUSettings,
        _ tools: Tools,
        _ work: FileWork,
        _ logger: Logger
    ) async throws -> HostFacts {
        let tool = Tools.Tool(command: settings.binary, package: "qemu-system-x86")
        guard let binary = tools.find(tool) else {
            throw BackendError(.unavailable, "\(settings.binary) is not installed; install the package \(tool.package)")
        }
        let text = try await tools.run(tool, ["--version"], deadline: .seconds(15))
        guard let version = version(in: text) else {
            throw BackendError(.unavailable, "\(binary) does not tell its version")
        }
        return try await work.run { _ in
            let cpu = CPUFacts(
                String(decoding: try FileCalls.read("/proc/cpuinfo", offset: 0, count: 4 << 20), as: UTF8.self)
            )
            let boot = try FileCalls.read("/proc/sys/kernel/random/boot_id", offset: 0, count: 64)
            return HostFacts(
                binary: binary,
                major: version.major,
                minor: version.minor,
                accelerator: accelerator(settings.acceleration, cpu),
                bootID: String(decoding: boot, as: UTF8.self).filter { !$0.isWhitespace },
                cpu: cpu
            )
        }
    }

    /// The numbers in "QEMU emulator version 7.2.22 (…)".
    static func version(in text: String) -> (major: Int, minor: Int)? {
        let words = text.split(whereSeparator: \.isWhitespace)
        guard let place = words.firstIndex(of: "version"), place + 1 < words.count else { return nil }
        let numbers = words[place + 1].split(separator: ".").map { Int($0.prefix { $0.isNumber }) }
        guard numbers.count >= 2, let major = numbers[0], let minor = numbers[1] else { return nil }
        return (major, minor)
    }

    /// `/dev/kvm` alone proves nothing: there is one on machines whose processor cannot (QEMU backend, section 2).
    private static func accelerator(_ wanted: QEMUSettings.Acceleration, _ cpu: CPUFacts) -> String {
        switch wanted {
        case .kvm, .tcg: wanted.rawValue
        case .auto: cpu.hasVirtualization && access("/dev/kvm", R_OK | W_OK) == 0 ? "kvm" : "tcg"
        }
    }

    /// Facts as they are now. Blocks for a moment.
    func hostInfo(name: String, directory: String) throws(BackendError) -> HostInfo {
        let memory = MemoryFigures(
            String(decoding: try FileCalls.read("/proc/meminfo", offset: 0, count: 64 << 10), as: UTF8.self)
        )
        var disk = statvfs()
        guard statvfs(directory, &disk) == 0 else {
            throw BackendError(.internal, "\(SystemCallError("statvfs", errno, path: directory))")
        }
        let block = UInt64(disk.f_frsize)
        // A shift binds tighter than a product.
        func gigabytes(_ blocks: UInt64) -> Int { Int(clamping: (blocks * block) >> 30) }
        return HostInfo(
            vcpus: cpu.processors,
            memoryMB: memory.totalKB >> 10,
            memoryUsedMB: max(0, memory.totalKB - memory.availableKB) >> 10,
            diskGB: gigabytes(UInt64(disk.f_blocks)),
            diskUsedGB: gigabytes(UInt64(disk.f_blocks) - UInt64(disk.f_bfree)),
            hypervisorType: "QEMU",
            hypervisorVersion: major * 1000 + minor,
            hypervisorHostname: name,
            cpuArchitecture: "x86_64",
            cpuModel: cpu.model,
            cpuVendor: cpu.vendor,
            cpuSockets: cpu.sockets,
            cpuCores: cpu.coresPerSocket,
            cpuThreads: max(1, cpu.processors / max(1, cpu.sockets * cpu.coresPerSocket)),
            cpuFeatures: cpu.features
        )
    }
}

/// `/proc/cpuinfo`.
struct CPUFacts: Sendable, Hashable {
    var processors = 0
    var model = ""
    var vendor = ""
    var sockets = 1
    var coresPerSocket = 1
    var features: [String] = []

    /// Intel's and AMD's.
    var hasVirtualization: Bool { features.contains("vmx") || features.contains("svm") }

    init(_ text: String) {
        var socketIDs: Set<Substring> = []
        for line in text.split(separator: "\n") {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let name = line[..<colon].split(whereSeparator: \.isWhitespace).joined(separator: " ")
            let value = line[line.index(after: colon)...].drop { $0 == " " }
            switch name {
            case "processor": processors += 1
            case "model name" where model.isEmpty: model = String(value)
            case "vendor_id" where vendor.isEmpty: vendor = String(value)
            case "physical id": socketIDs.insert(value)
            case "cpu cores": coresPerSocket = Int(value) ?? 1
            case "flags" where features.isEmpty: features = value.split(separator: " ").map(String.init)
            default: break
            }
        }
        sockets = max(1, socketIDs.count)
        processors = max(1, processors)
    }
}

/// `/proc/meminfo`.
struct MemoryFigures: Sendable, Hashable {
    var totalKB = 0
    var availableKB = 0

    init(_ text: String) {
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count >= 2, let number = Int(words[1]) else { continue }
            switch words[0] {
            case "MemTotal:": totalKB = number
            case "MemAvailable:": availableKB = number
            default: break
            }
        }
    }
}
