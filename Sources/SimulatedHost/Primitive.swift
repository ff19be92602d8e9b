/// The primitives of a host, as fault and delay rules name them: the functions of `HostBackend`, and the phases of a
/// live migration.
package enum Primitive: String, Sendable, Hashable, CaseIterable {
    case connect, probe, hostInfo, machines, machine
    case createMachine, deleteMachine, setState, reset, requestShutdown, cancelJobs, diagnostics
    case image, createDisk, diskInfo, resizeDisk, copyDisk, buildConfigDrive
    case attachDisk, detachDisk, connectVolume, disconnectVolume
    case attachInterface, detachInterface, plugInterface, unplugInterface
    case exportRootDisk, openConsole, writeConsole
    case checkIncoming, checkOutgoing, prepareIncoming, migrate, finishIncoming, abandonIncoming, finishOutgoing
    case takeBack
    /// Before anything is copied.
    case migrateSetup
    /// While memory and disks are copied, the guest running at the source.
    case migratePrecopy
    /// Just before the guest stops at the source for good.
    case migrateSwitchover
    /// The destination has the guest complete, and that it has left is not written down here: only between processes.
    case migrateHandover
    /// After the guest runs at the destination.
    case migrateCompleted

    /// Accepts `createDisk`, `create_disk` and `migrate.precopy` alike.
    package init?(name: some StringProtocol) {
        let wanted = Self.folded(name)
        guard let match = Self.allCases.first(where: { Self.folded($0.rawValue) == wanted }) else { return nil }
        self = match
    }

    /// The name in configuration options, such as `create_disk` in `fault_create_disk`.
    package var optionName: String {
        rawValue.reduce(into: "") { name, character in
            if character.isUppercase { name.append("_") }
            name.append(contentsOf: character.lowercased())
        }
    }

    private static func folded(_ name: some StringProtocol) -> String {
        name.lowercased().filter { $0 != "_" && $0 != "." }
    }
}
