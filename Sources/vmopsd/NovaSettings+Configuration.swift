import Configuration
import Logging
import NovaCompute
import NovaObjects
import OsloMessaging
import RPCWorker
import Support
import VMOps

extension NovaSettings {
    init(_ settings: Settings) {
        self.init()
        let nova = settings.nova
        var pins: [String: ObjectVersion] = [:]
        for entry in nova.objectVersions {
            let parts = entry.split(separator: ":", maxSplits: 1).map(String.init)
            guard parts.count == 2, let version = ObjectVersion(parts[1]) else { continue }
            pins[parts[0]] = version
        }
        versions = ObjectVersions(overrides: pins)
        responseTimeout = nova.responseTimeout
        conductorPatience = nova.conductorPatience
        shutdownTimeout = nova.shutdownTimeout
        pluggingTimeout = nova.pluggingTimeout
        pluggingIsFatal = nova.pluggingIsFatal
        serviceVersion = nova.serviceVersion
        reportInterval = nova.reportInterval
        resourceInterval = nova.resourceInterval
        syncInterval = nova.syncInterval
        deletedAction = DeletedInstanceAction(rawValue: nova.deletedAction.rawValue) ?? .reap
        reservedCPUs = nova.reservedCPUs
        reservedMemoryMB = nova.reservedMemoryMB
        reservedDiskMB = nova.reservedDiskMB
        cpuAllocationRatio = nova.cpuAllocationRatio
        ramAllocationRatio = nova.ramAllocationRatio
        diskAllocationRatio = nova.diskAllocationRatio
        initialCPUAllocationRatio = nova.initialCPUAllocationRatio
        initialRAMAllocationRatio = nova.initialRAMAllocationRatio
        initialDiskAllocationRatio = nova.initialDiskAllocationRatio
        address = nova.address
    }
}
