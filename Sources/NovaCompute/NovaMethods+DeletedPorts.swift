import HostBackend
import Logging
import NovaObjects
import Support
import VMOps

/// Ports that the network service has deleted while instances have them, of which it tells by `network-vif-deleted`
/// (Nova's compute RPC, section 7.3).
extension NovaMethods {
    private static let deletionEvent = "network-vif-deleted"

    /// The ports of an instance that events say are deleted.
    static func deletedPorts(_ events: [JSONValue], of instance: String) -> [String] {
        events.compactMap { event in
            guard let data = event["nova_object.data"], data["name"]?.stringValue == deletionEvent,
                data["instance_uuid"]?.stringValue == instance
            else { return nil }
            return data["tag"]?.stringValue
        }
    }

    /// Whether an event says something of a network that is to be looked at.
    static func isNetworkChange(_ event: JSONValue, of instance: String) -> Bool {
        guard let data = event["nova_object.data"], let name = data["name"]?.stringValue else { return false }
        return data["instance_uuid"]?.stringValue == instance && name.hasPrefix("network-") && name != deletionEvent
    }

    /// Takes the interface of a port that is no more out of the machine, and out of what is written down. The network
    /// service is not asked for anything: there is nothing left at it.
    ///
    /// An interface that the machine does not give up stays, with a warning in the log, as with Nova. A port that the
    /// instance does not have any more is nothing to speak of: the network service tells also of what this host deletes.
    func detachDeleted(_ port: String, _ instance: NovaInstance, _ context: JSONObject) async {
        let metadata: Logger.Metadata = ["instance": "\(instance.uuid)", "port": "\(port)"]
        do {
            guard let uuid = InstanceUUID(instance.uuid) else { return }
            let isPlugged = operations.hasInterface(uuid, id: port)
            if isPlugged {
                try await operations.detachInterface(uuid, id: port, OperationContext(caller: context))
                logger.notice("port was deleted, its interface is detached", metadata: metadata)
            }
            let wasWritten = try await cloud.refreshes.lane(instance.uuid).run {
                try await replace(port, by: nil, instance, context)
            }
            if isPlugged || wasWritten { try await conductor?.dropInterface(port, context: context) }
        } catch {
            if Task.isCancelled { return }
            logger.warning(
                "interface of a deleted port not detached",
                metadata: metadata.merging(["error": "\(error)"]) { $1 }
            )
        }
    }
}
