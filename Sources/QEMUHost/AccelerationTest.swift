import DiskImages
import HostBackend
import Logging
import Support

/// Finds out whether guests run at all with an accelerator: there are machines where everything says that KVM works
/// and no guest gets as far as its first instruction (QEMU backend, section 2).
struct AccelerationTest: Sendable {
    /// How long a guest of a few instructions may take.
    static let patience = Duration.seconds(5)
    private static let words = "guest code runs"
    /// A boot sector's mark and place.
    private static let sectorBytes = 512
    /// The smallest disk that the firmware boots from virtio.
    private static let diskBytes: UInt64 = 512 << 10

    /// A boot sector that goes to protected mode, prints its words and resets; its source is
    /// `Tests/Guests/selftest.S`.
    static let program: [UInt8] = [
        0xFA, 0x31, 0xC0, 0x8E, 0xD8, 0x0F, 0x01, 0x16, 0x60, 0x7C, 0x0F, 0x20, 0xC0, 0x0C, 0x01, 0x0F,
        0x22, 0xC0, 0xEA, 0x17, 0x7C, 0x08, 0x00, 0x66, 0xB8, 0x10, 0x00, 0x8E, 0xD8, 0xBE, 0x35, 0x7C,
        0x00, 0x00, 0x66, 0xBA, 0xF8, 0x03, 0xAC, 0x84, 0xC0, 0x74, 0x03, 0xEE, 0xEB, 0xF8, 0xB0, 0xFE,
        0xE6, 0x64, 0xF4, 0xEB, 0xFD, 0x67, 0x75, 0x65, 0x73, 0x74, 0x20, 0x63, 0x6F, 0x64, 0x65, 0x20,
        0x72, 0x75, 0x6E, 0x73, 0x0D, 0x0A, 0x00, 0x90, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0xFF, 0xFF, 0x00, 0x00, 0x00, 0x9A, 0xCF, 0x00, 0xFF, 0xFF, 0x00, 0x00, 0x00, 0x92, 0xCF, 0x00,
        0x17, 0x00, 0x48, 0x7C, 0x00, 0x00,
    ]

    let command: QEMUCommand
    let platform: Platform
    /// Where a small file can be made that QEMU can read.
    let directory: String
    let tools: Tools
    let work: FileWork
    let deadline: Duration
    let sector: [UInt8]

    init(
        command: QEMUCommand,
        platform: Platform,
        directory: String,
        tools: Tools,
        work: FileWork,
        deadline: Duration = Self.patience,
        program: [UInt8] = Self.program
    ) {
        self.command = command
        self.platform = platform
        self.directory = directory
        self.tools = tools
        self.work = work
        self.deadline = deadline
        let room = [UInt8](repeating: 0, count: Self.sectorBytes - 2 - program.count)
        sector = program + room + [0x55, 0xAA]
    }

    /// Boots the guest.
    ///
    /// - Returns: why guests do not run, `nil` if they do.
    func failure() async throws -> String? {
        let path = directory + "/selftest.raw"
        let sector = sector
        try await work.run { _ in
            try FileCalls.remove(path)
            try FileCalls.writeNew(path, sector)
            try FileCalls.setMode(path, 0o644)
            try FileCalls.grow(path, to: Self.diskBytes)
        }
        defer { try? FileCalls.remove(path) }
        let words = command.demoted(arguments(path), accelerator: platform.accelerator)
        // A worker that is killed meanwhile leaves nothing that lives for long.
        let tool = Tools.Tool(command: "timeout", package: "coreutils")
        do {
            let output = try await tools.run(
                tool,
                ["-s", "KILL", "10", words.executable] + words.arguments,
                deadline: deadline
            )
            return output.contains(Self.words) ? nil : "the guest printed \(output.debugDescription)"
        } catch {
            if error.code == .cancelled { throw error }
            return error.message
        }
    }

    private func arguments(_ path: String) -> [String] {
        let disk = "driver=raw,node-name=disk,read-only=on,file.driver=file,file.read-only=on,file.filename="
        return [
            "-machine", platform.machineType, "-accel", platform.accelerator, "-cpu", platform.cpuModel, "-m", "16",
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
            "-blockdev", disk + QEMUCommand.escaped(path), "-device", "virtio-blk-pci,drive=disk",
        ]
    }
}

extension QEMUHost {
    /// The facts with an accelerator that works: hardware is relied on only after a guest has run on it.
    func tested(_ facts: HostFacts, _ demotion: QEMUCommand.Demotion?) async throws -> HostFacts {
        guard settings.acceleration == .auto, facts.accelerator != "tcg" else { return facts }
        let test = AccelerationTest(
            command: QEMUCommand(
                binary: facts.binary,
                sandbox: settings.sandbox,
                diskBus: settings.diskBus,
                network: settings.network,
                demotion: demotion
            ),
            platform: Platform(
                machineType: settings.machineType.isEmpty ? facts.newestMachineType : settings.machineType,
                cpuModel: settings.cpuModel.isEmpty ? "host" : settings.cpuModel,
                accelerator: facts.accelerator
            ),
            directory: stateDirectory,
            tools: tools,
            work: work
        )
        guard let failure = try await test.failure() else {
            logger.info("hardware acceleration works", metadata: ["accelerator": "\(facts.accelerator)"])
            return facts
        }
        logger.error(
            "hardware acceleration is there and does not work: guests are emulated, which is many times slower",
            metadata: ["accelerator": "\(facts.accelerator)", "reason": "\(failure)"]
        )
        var downgraded = facts
        downgraded.accelerator = "tcg"
        return downgraded
    }
}
