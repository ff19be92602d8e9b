package import Support

/// Abilities that a host may lack.
extension HostBackend {
    package func probe() async throws {}
    package func machineIfKnown(_ uuid: InstanceUUID) -> MachineStatus? { nil }
    package func cancelJobs(_ uuid: InstanceUUID) async throws {}

    /// For hosts that see the same files as the worker.
    package func removeFiles(_ directory: String) async throws {}

    /// For hosts whose images are what they are: what a client says of one cannot be checked.
    package func image(_ request: ImageRequest) async throws -> ImageInfo {
        guard !request.hasConditions, request.location == nil else {
            throw BackendError.unsupported("checking what a client says of an image")
        }
        return try await image(request.reference)
    }

    package func reset(_ uuid: InstanceUUID) async throws -> MachineState {
        throw BackendError.unsupported("reset")
    }

    package func requestShutdown(_ uuid: InstanceUUID, reason: String) async throws -> ShutdownAnswer {
        .unsupported
    }

    package func diagnostics(_ uuid: InstanceUUID) async throws -> JSONObject {
        throw BackendError.unsupported("diagnostics")
    }

    package func diskInfo(_ path: String, format: String) async throws -> DiskInfo { try await diskInfo(path) }

    package func resizeDisk(_ path: String, format: String, virtualSize: UInt64) async throws {
        try await resizeDisk(path, virtualSize: virtualSize)
    }

    package func copyDisk(_ source: String, format: String, to path: String, standalone: Bool) async throws {
        throw BackendError.unsupported("copying a disk")
    }

    package func attachDisk(_ disk: DiskAttachment, to uuid: InstanceUUID) async throws {
        throw BackendError.unsupported("attaching a disk")
    }

    package func detachDisk(path: String, from uuid: InstanceUUID) async throws {
        throw BackendError.unsupported("detaching a disk")
    }

    package func connectVolume(_ volume: VolumeConnection) async throws -> String {
        throw BackendError.unsupported("a volume of type \(volume.type)")
    }

    package func disconnectVolume(_ volume: VolumeConnection) async throws {}

    package func attachInterface(_ interface: NetworkInterface, to uuid: InstanceUUID) async throws {
        throw BackendError.unsupported("attaching an interface")
    }

    package func detachInterface(id: String, from uuid: InstanceUUID) async throws {
        throw BackendError.unsupported("detaching an interface")
    }

    package func plugInterface(_ interface: NetworkInterface, of uuid: InstanceUUID) async throws {}
    package func unplugInterface(_ interface: NetworkInterface, of uuid: InstanceUUID) async throws {}

    package func exportRootDisk(
        _ uuid: InstanceUUID,
        to path: String,
        format: String
    ) async throws -> DiskInfo {
        throw BackendError.unsupported("snapshot")
    }

    package func openConsole(_ uuid: InstanceUUID) async throws -> ConsoleEndpoint {
        throw BackendError.unsupported("console")
    }

    package func writeConsole(_ uuid: InstanceUUID, _ bytes: [UInt8]) async throws {
        throw BackendError.unsupported("console input")
    }

    package func checkIncoming(_ spec: MachineSpec, _ options: MigrationOptions) async throws -> MigrationTicket {
        throw BackendError.unsupported("live migration")
    }

    package func checkOutgoing(_ uuid: InstanceUUID, _ ticket: MigrationTicket) async throws -> MigrationTicket {
        throw BackendError.unsupported("live migration")
    }

    package func prepareIncoming(_ spec: MachineSpec, _ ticket: MigrationTicket) async throws -> MigrationTicket {
        throw BackendError.unsupported("live migration")
    }

    package func migrate(
        _ uuid: InstanceUUID,
        _ ticket: MigrationTicket,
        progress: @escaping @Sendable (MigrationProgress) async -> Void
    ) async throws {
        throw BackendError.unsupported("live migration")
    }

    package func finishIncoming(_ uuid: InstanceUUID) async throws {
        throw BackendError.unsupported("live migration")
    }

    package func abandonIncoming(_ uuid: InstanceUUID) async throws {}
    package func finishOutgoing(_ uuid: InstanceUUID) async throws {}

    package func takeBack(_ uuid: InstanceUUID) async throws {
        throw BackendError.unsupported("taking a machine back")
    }
}
