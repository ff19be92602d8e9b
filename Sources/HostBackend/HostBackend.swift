package import Support

/// A hypervisor host, as the operations layer drives it.
///
/// One value serves one host name. Every mutating primitive is idempotent with respect to the machine and the wanted
/// state: creating an identical machine of ours, deleting a missing one, reaching the present state and attaching an
/// attached device succeed. Calls for one machine come one at a time, reads excepted; calls for different machines
/// come in parallel. Errors are ``BackendError``. Cancelling the calling task asks the primitive to stop; whatever
/// happened, the caller reads the state afterwards.
package protocol HostBackend: Sendable {
    var capabilities: HostCapabilities { get }

    // MARK: Host

    /// Takes up service: adopts the machines that outlived an earlier worker. Called once, before anything else.
    func connect() async throws

    /// Gives up service; machines keep running. Events end.
    func disconnect() async

    /// Whether operations can succeed now: throws `unauthorized` or `unavailable` with the reason.
    func probe() async throws

    func hostInfo() async throws -> HostInfo

    /// Events since the call; subscribed before the first inventory, so that nothing in between is lost. Bounded: when
    /// the reader falls behind, the oldest events are dropped and a gap shows in ``MachineEvent/sequence``.
    func events() -> AsyncStream<MachineEvent>

    // MARK: Machines

    /// All realized machines, foreign ones too, planned and incoming ones not.
    func machines() async throws -> [MachineSummary]

    func machine(_ uuid: InstanceUUID) async throws -> MachineStatus

    /// The same without waiting, if the backend knows it at once; `nil` says only "ask ``machine(_:)``".
    func machineIfKnown(_ uuid: InstanceUUID) -> MachineStatus?

    /// Defines the machine, off, its devices attached and its console wired.
    func createMachine(_ spec: MachineSpec) async throws

    /// Removes the machine, realized or planned; its disks stay.
    func deleteMachine(_ uuid: InstanceUUID) async throws

    /// Asks for the state and waits until it is reached, at most `deadline`.
    ///
    /// - Returns: the state reached, which the caller compares with the target.
    func setState(_ uuid: InstanceUUID, _ target: TargetState, deadline: Duration) async throws -> MachineState

    /// Resets a running machine, which keeps its process and console.
    func reset(_ uuid: InstanceUUID) async throws -> MachineState

    /// Asks the guest to shut down; does not wait for it.
    func requestShutdown(_ uuid: InstanceUUID, reason: String) async throws -> ShutdownAnswer

    /// Cancels whatever the backend still does for the machine.
    func cancelJobs(_ uuid: InstanceUUID) async throws

    /// Free-form figures for diagnosis.
    func diagnostics(_ uuid: InstanceUUID) async throws -> JSONObject

    // MARK: Disks

    /// The image, fetched into the cache if it is not there. Throws `notFound` for an unknown one.
    func image(_ reference: String) async throws -> ImageInfo

    /// The same, checked against what the client says of it. Throws `invalidArgument` when the content is another.
    func image(_ request: ImageRequest) async throws -> ImageInfo

    /// Makes a disk file; on failure no file is left.
    func createDisk(_ request: DiskRequest) async throws -> DiskInfo

    func diskInfo(_ path: String) async throws -> DiskInfo

    func resizeDisk(_ path: String, virtualSize: UInt64) async throws

    /// The same two for a disk that a guest has written to: what stands in it says nothing about its format, which is on
    /// record.
    func diskInfo(_ path: String, format: String) async throws -> DiskInfo
    func resizeDisk(_ path: String, format: String, virtualSize: UInt64) async throws

    /// Copies the disk of a machine that is off to a new file; on failure no file is left.
    ///
    /// - Parameters:
    ///   - format: the format on record.
    ///   - standalone: without the image it may be a layer over; else as it is.
    func copyDisk(_ source: String, format: String, to path: String, standalone: Bool) async throws

    /// Builds an ISO 9660 config drive; on failure no file is left.
    func buildConfigDrive(_ files: [ConfigDriveFile], at path: String) async throws

    /// Removes what the host keeps of an instance's directory elsewhere; the directory itself is removed by the caller,
    /// afterwards.
    func removeFiles(_ directory: String) async throws

    // MARK: Devices

    func attachDisk(_ disk: DiskAttachment, to uuid: InstanceUUID) async throws
    func detachDisk(path: String, from uuid: InstanceUUID) async throws

    /// Makes the volume visible on the host.
    ///
    /// - Returns: the device's or file's path.
    func connectVolume(_ volume: VolumeConnection) async throws -> String
    func disconnectVolume(_ volume: VolumeConnection) async throws

    func attachInterface(_ interface: NetworkInterface, to uuid: InstanceUUID) async throws
    func detachInterface(id: String, from uuid: InstanceUUID) async throws

    /// Connects the interface's host side to its network, and undoes that.
    func plugInterface(_ interface: NetworkInterface, of uuid: InstanceUUID) async throws
    func unplugInterface(_ interface: NetworkInterface, of uuid: InstanceUUID) async throws

    // MARK: Snapshot

    /// Writes a consistent, self-contained copy of the machine's root disk to `path` while it keeps its state.
    func exportRootDisk(_ uuid: InstanceUUID, to path: String, format: String) async throws -> DiskInfo

    // MARK: Console

    /// Opens the machine's console for its one reader. Throws `unimplemented` for a machine without one, `unavailable`
    /// while there is nothing to connect to.
    func openConsole(_ uuid: InstanceUUID) async throws -> ConsoleEndpoint

    /// Types on the console.
    func writeConsole(_ uuid: InstanceUUID, _ bytes: [UInt8]) async throws

    // MARK: Live migration

    /// At the destination: can this machine come here? Adds what the source has to know.
    func checkIncoming(_ spec: MachineSpec, _ options: MigrationOptions) async throws -> MigrationTicket

    /// At the source: can it go, given what the destination said?
    func checkOutgoing(_ uuid: InstanceUUID, _ ticket: MigrationTicket) async throws -> MigrationTicket

    /// At the destination: prepares a planned machine that waits for the source.
    func prepareIncoming(_ spec: MachineSpec, _ ticket: MigrationTicket) async throws -> MigrationTicket

    /// At the source: moves the running machine. Reports `switchover` when it has stopped here for good and runs, or is
    /// about to run, at the destination. An error, or cancellation before `switchover`, leaves it running here.
    func migrate(
        _ uuid: InstanceUUID,
        _ ticket: MigrationTicket,
        progress: @escaping @Sendable (MigrationProgress) async -> Void
    ) async throws

    /// At the destination: makes the arrived machine a realized one.
    func finishIncoming(_ uuid: InstanceUUID) async throws

    /// At the destination: removes the planned machine.
    func abandonIncoming(_ uuid: InstanceUUID) async throws

    /// At the source: removes what is left of a machine that has gone. Called only once the destination has said that
    /// it runs there.
    func finishOutgoing(_ uuid: InstanceUUID) async throws

    /// At the source: a machine that has gone, and of which an operator says that no other host runs it or ever will,
    /// goes on here. Throws `notFound` when this host has nothing of it that could run.
    func takeBack(_ uuid: InstanceUUID) async throws
}
