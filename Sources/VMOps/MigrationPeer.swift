package import Console
package import HostBackend
package import Support

/// A machine about to arrive, as its source describes it.
package struct IncomingMigration: Sendable {
    package var record: InstanceRecord
    package var spec: MachineSpec
    package var source: String
    package var copyStorage: Bool
    /// Names the migration. Until it is over, the source's instance directory has an empty file of that name with
    /// ``tokenPrefix`` before it: a destination that sees it shares the directory.
    package var transfer: String
    /// `nil` for a live migration; else the record is that of before, disks on shared storage excepted.
    package var resize: InstanceResize?

    package static let tokenPrefix = ".migration-"
    /// The member of the ticket with which the destination says that it shares the directory.
    package static let sharesDirectoryKey = "shares_directory"

    /// Members of the ticket with which destination and source of disks come to terms.
    static let diskOfferKey = "disk_offer"
    static let diskSourceKey = "disk_source"

    var token: String { Self.tokenPrefix + transfer }

    package init(
        record: InstanceRecord,
        spec: MachineSpec,
        source: String,
        copyStorage: Bool,
        transfer: String,
        resize: InstanceResize? = nil
    ) {
        self.resize = resize
        self.transfer = transfer
        self.record = record
        self.spec = spec
        self.source = source
        self.copyStorage = copyStorage
    }
}

/// Another host as one that migrates sees it (VM operations, sections 8 and 9): this process's or one behind calls.
///
/// Errors are ``OperationError``. After any other than `instanceNotFound` the outcome is unknown; every call may be
/// repeated.
package protocol MigrationPeer: Sendable {
    /// Could this machine come? Nothing is left behind.
    func checkIncoming(_ migration: IncomingMigration) async throws -> MigrationTicket

    /// Makes everything ready; undoes what it did itself when it fails. A repetition succeeds.
    func prepareIncoming(_ migration: IncomingMigration, _ ticket: MigrationTicket) async throws -> MigrationTicket

    /// The machine has left the source for good and is to run at the destination. A repetition succeeds.
    ///
    /// - Throws: ``OperationError`` `instanceNotFound` when nothing of the transfer is there, nor ever will be.
    func finishIncoming(_ uuid: InstanceUUID, transfer: String) async throws -> InstanceInfo

    /// The machine did not come; removes what ``prepareIncoming(_:_:)`` made. A repetition succeeds.
    func abandonIncoming(_ uuid: InstanceUUID, transfer: String) async throws

    /// Asked by a destination of its source: is the transfer still to be finished or abandoned?
    func knowsOutgoing(_ uuid: InstanceUUID, transfer: String) async throws -> Bool

    /// The instance as the host sees it; `nil` if it has none.
    func presentInfo(_ uuid: InstanceUUID) async throws -> InstanceInfo?

    // MARK: Cold migration

    /// Could this machine come, off? Nothing is left behind.
    func checkResize(_ migration: IncomingMigration) async throws -> MigrationTicket

    /// Expects the machine: after a repetition disks that have come in part go on from there.
    ///
    /// - Returns: the way for disks, empty when the directory is shared.
    func prepareResize(_ migration: IncomingMigration, _ ticket: MigrationTicket) async throws -> JSONObject

    /// The disks are there: gives them their sizes, connects volumes and interfaces, and defines the machine, off. A
    /// repetition succeeds.
    func buildResize(_ uuid: InstanceUUID, transfer: String) async throws

    /// Said by a destination to its source: the instance stays at the destination. A repetition succeeds.
    func confirmOutgoing(_ uuid: InstanceUUID, transfer: String) async throws

    /// Said by a destination to its source: the machine is gone from the destination, and is to come back as it was. A
    /// repetition succeeds.
    func revertOutgoing(_ uuid: InstanceUUID, transfer: String) async throws -> InstanceInfo

    /// Whether the host says anything at all.
    func isAnswering() async -> Bool

    /// Where the console log that comes along goes; it is put before whatever was captured there since.
    func consoleDestination(_ uuid: InstanceUUID) -> any ConsoleDestination
}

/// For peers that have to do with live migrations only.
extension MigrationPeer {
    package func checkResize(_ migration: IncomingMigration) async throws -> MigrationTicket { throw noResize }

    package func prepareResize(_ migration: IncomingMigration, _ ticket: MigrationTicket) async throws -> JSONObject {
        throw noResize
    }

    package func buildResize(_ uuid: InstanceUUID, transfer: String) async throws { throw noResize }
    package func confirmOutgoing(_ uuid: InstanceUUID, transfer: String) async throws { throw noResize }

    package func revertOutgoing(_ uuid: InstanceUUID, transfer: String) async throws -> InstanceInfo {
        throw noResize
    }

    package func isAnswering() async -> Bool { true }

    private var noResize: OperationError { OperationError.notImplemented("cold migration") }
}

/// Finds the other hosts.
package protocol MigrationPeers: Sendable {
    /// Throws ``OperationError`` when there is no such host.
    func peer(_ host: String) throws -> any MigrationPeer
}
