import ComputeRPC
import HostBackend
import Logging
import NovaObjects
import OsloMessaging
import Support
import VMOps

/// A host's records in the database, as they were when it was registered.
struct ServiceRecords: Sendable {
    var service: NovaObject
    var reportCount: Int64
    var node: NovaObject
    /// What was last written to the node.
    var nodeFields: JSONObject

    var nodeUUID: String { node["uuid"]?.stringValue ?? "" }
}

extension ComputeService {
    /// Services of this version and later keep their node's identifier on the host (Nova 27).
    private static let firstWithIdentity: Int64 = 65

    /// Finds or makes the host's records. Whatever is wrong with them shows before anything is written.
    ///
    /// - Throws: ``ComputeServiceError`` when the records are somebody else's.
    func register() async throws -> ServiceRecords {
        let context = AdminContext.make()
        let service = try await conductor.service(host, context: context)
        let uuid = try await identity.read()
        let node = try await findNode(uuid, serviceVersion: service?["version"]?.intValue, context)
        let fields = try await nodeFields()
        do {
            let service = try await ensureService(service, context)
            let count = (service["report_count"]?.intValue ?? 0) + 1
            // A service is taken for dead until its first sign of life.
            try await conductor.heartbeat(service, count: count, context: context)
            let present = try await ensureNode(node, uuid, fields, context)
            return ServiceRecords(service: service, reportCount: count, node: present, nodeFields: fields)
        } catch let failure as RemoteFailure where failure.className == "ServiceTooOld" {
            throw ComputeServiceError(
                .tooOld,
                "the control plane has no compute services as old as version \(settings.serviceVersion): \(failure.message)",
                cause: failure
            )
        }
    }

    private func findNode(
        _ uuid: String?,
        serviceVersion: Int64?,
        _ context: JSONObject
    ) async throws -> NovaObject? {
        if let uuid, let node = try await conductor.computeNode(uuid: uuid, context: context) {
            let names = [node["host"]?.stringValue, node["hypervisor_hostname"]?.stringValue]
            guard names.allSatisfy({ $0 == host }) else {
                throw ComputeServiceError(
                    .nameClash,
                    "compute node \(uuid) of \(identity.path) belongs to host \(names[0] ?? "?"), not to \(host)"
                )
            }
            return node
        }
        guard let node = try await conductor.computeNode(host: host, context: context) else { return nil }
        let other = try node.string("uuid")
        if let uuid {
            throw ComputeServiceError(
                .nameClash,
                "host \(host) has compute node \(other), and \(uuid) according to \(identity.path)"
            )
        }
        guard let serviceVersion, serviceVersion < Self.firstWithIdentity else {
            throw ComputeServiceError(
                .identity,
                "host \(host) has compute node \(other), and \(identity.path) is missing; write that identifier there if"
                    + " this is the same host"
            )
        }
        try await identity.write(other)
        logger.notice("compute node taken over", metadata: ["node": "\(other)"])
        return node
    }

    private func ensureService(_ service: NovaObject?, _ context: JSONObject) async throws -> NovaObject {
        if let service { return service }
        do {
            return try await conductor.createService(host, context: context)
        } catch let failure as RemoteFailure
            where ["ServiceBinaryExists", "ServiceTopicExists"].contains(failure.className)
        {
            // An answer to an earlier attempt was lost.
            guard let service = try await conductor.service(host, context: context) else { throw failure }
            return service
        }
    }

    private func ensureNode(
        _ node: NovaObject?,
        _ uuid: String?,
        _ fields: JSONObject,
        _ context: JSONObject
    ) async throws -> NovaObject {
        if let node {
            try await conductor.saveNode(node, fields, context: context)
            return node
        }
        let identifier = uuid ?? UniqueID.makeDashed()
        if uuid == nil { try await identity.write(identifier) }
        var fields = fields
        for field in ComputeNodeFacts.initialFields(settings) { fields[field.key] = field.value }
        fields["uuid"] = .string(identifier)
        fields["host"] = .string(host)
        fields["hypervisor_hostname"] = .string(host)
        // Of a host that was taken out the record is brought back as it was, and nobody would look for its cell again.
        fields["mapped"] = 0
        return try await conductor.createNode(fields, context: context)
    }

    /// The node's record as it ought to be now.
    func nodeFields() async throws -> JSONObject {
        try ComputeNodeFacts(
            host: try await operations.hostInfo(),
            used: operations.commitments,
            uptime: try await HostUptime.line(),
            settings: settings
        ).fields()
    }
}
