package import HostBackend

/// Hands out device addresses in the order that makes them predictable (VM operations, section 6.6): the root disk or
/// boot volume at IDE 0:0, the first ephemeral disk at IDE 0:1, the config drive at IDE 1:0, all else on SCSI.
package struct DeviceAddresses: Sendable {
    static let scsiSlots = 64

    private var used: Set<DeviceAddress>

    package init(used: some Sequence<DeviceAddress> = []) {
        self.used = Set(used)
    }

    package mutating func root() -> DeviceAddress { take(.ide, 0, 0) }
    package mutating func configDrive() -> DeviceAddress { take(.ide, 1, 0) }

    package mutating func ephemeral(_ number: Int) throws -> DeviceAddress {
        number == 0 ? take(.ide, 0, 1) : try scsi()
    }

    package mutating func volume(boot: Bool) throws -> DeviceAddress {
        boot ? root() : try scsi()
    }

    private mutating func scsi() throws -> DeviceAddress {
        for unit in 0..<Self.scsiSlots {
            let address = DeviceAddress(bus: .scsi, controller: 0, unit: unit)
            if used.insert(address).inserted { return address }
        }
        throw OperationError(.volumeAttachFailed, "Exceeded the maximum number of slots (\(Self.scsiSlots)).")
    }

    private mutating func take(_ bus: DeviceAddress.Bus, _ controller: Int, _ unit: Int) -> DeviceAddress {
        let address = DeviceAddress(bus: bus, controller: controller, unit: unit)
        used.insert(address)
        return address
    }
}
