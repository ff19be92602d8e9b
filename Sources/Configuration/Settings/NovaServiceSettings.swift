/// Hosts as compute services of a control plane of Nova's.
package struct NovaServiceSettings: Sendable, Hashable {
    /// Whether Nova's compute RPC is answered.
    package var computeAPI: Bool
    package var conductor: NovaConductor
    package var conductorTopic: String
    package var conductorPatience: Duration
    /// `Class:major.minor` each.
    package var objectVersions: [String]
    package var responseTimeout: Duration
    package var shutdownTimeout: Duration
    package var serviceVersion: Int
    /// Zero: no boot waits for its ports.
    package var pluggingTimeout: Duration
    package var pluggingIsFatal: Bool
    package var reportInterval: Duration
    package var resourceInterval: Duration
    /// Zero: never.
    package var syncInterval: Duration
    package var deletedAction: NovaDeletedAction
    package var reservedCPUs: Int
    package var reservedMemoryMB: Int
    package var reservedDiskMB: Int
    /// `nil`: as the control plane has it, and at first the initial one.
    package var cpuAllocationRatio: Double?
    package var ramAllocationRatio: Double?
    package var diskAllocationRatio: Double?
    package var initialCPUAllocationRatio: Double
    package var initialRAMAllocationRatio: Double
    package var initialDiskAllocationRatio: Double
    package var address: String?
    /// Without a conductor only the project's own notifications are sent, whatever this says.
    package var notificationFormat: NovaNotificationFormat
    package var notificationTopics: [String]

    init(_ reader: SettingsReader) {
        conductor = reader[NovaOptions.conductor]
        computeAPI = reader[NovaOptions.computeAPI] || conductor != .none
        conductorTopic = reader[NovaOptions.conductorTopic]
        conductorPatience = reader[NovaOptions.conductorPatience]
        objectVersions = reader[NovaOptions.objectVersions]
        responseTimeout = reader[NovaOptions.responseTimeout]
        shutdownTimeout = reader[NovaOptions.shutdownTimeout]
        pluggingTimeout = reader[DefaultOptions.pluggingTimeout]
        pluggingIsFatal = reader[DefaultOptions.pluggingIsFatal]
        serviceVersion = reader[NovaOptions.serviceVersion]
        reportInterval = reader[NovaOptions.reportInterval]
        resourceInterval = reader[NovaOptions.resourceInterval]
        syncInterval = reader[NovaOptions.syncInterval]
        deletedAction = reader[NovaOptions.deletedAction]
        reservedCPUs = reader[NovaHostOptions.reservedCPUs]
        reservedMemoryMB = reader[NovaOptions.reservedMemory] ?? reader[NovaHostOptions.reservedMemory]
        reservedDiskMB = reader[NovaOptions.reservedDisk] ?? reader[NovaHostOptions.reservedDisk]
        func ratio(_ own: OptionKey<Double?>, _ common: OptionKey<Double?>) -> Double? {
            (reader[own] ?? reader[common]).flatMap { $0 > 0 ? $0 : nil }
        }
        cpuAllocationRatio = ratio(NovaOptions.cpuRatio, NovaHostOptions.cpuRatio)
        ramAllocationRatio = ratio(NovaOptions.ramRatio, NovaHostOptions.ramRatio)
        diskAllocationRatio = ratio(NovaOptions.diskRatio, NovaHostOptions.diskRatio)
        initialCPUAllocationRatio = reader[NovaHostOptions.initialCPURatio]
        initialRAMAllocationRatio = reader[NovaHostOptions.initialRAMRatio]
        initialDiskAllocationRatio = reader[NovaHostOptions.initialDiskRatio]
        notificationFormat = conductor == .none ? .unversioned : reader[NovaNotificationOptions.format]
        notificationTopics = reader[NovaNotificationOptions.topics]
        // What [DEFAULT] has where the file says nothing is no address that others reach.
        let common = OptionTable.Key(host: nil, option: DefaultOptions.myIP.definition.option)
        let hasCommon = reader.table.entries[common] != nil
        let own = reader[NovaOptions.address]
        let address = own.isEmpty && hasCommon ? reader[DefaultOptions.myIP] : own
        self.address = address.isEmpty ? nil : address
    }
}
