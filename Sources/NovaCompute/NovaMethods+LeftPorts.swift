import Logging
import NovaObjects
import OpenStackAPI
import Support

/// Ports that could not be released when what they were for came to nothing: the network service was away. They are
/// released when it is back, also by a later worker.
extension NovaMethods {
    /// Takes note of them, if somebody will look after them.
    ///
    /// - Parameters:
    ///   - device: what the ports have as `device_id`.
    ///   - given: those that are given back rather than removed.
    func keepLeftPorts(of device: String, _ instance: NovaInstance, given: Set<String>) async {
        guard conductor != nil, let store = cloud.leftPorts else { return }
        do {
            try await store.keep(LeftPorts.Entry(device: device, instance: instance.uuid, given: given))
        } catch {
            logger.error("no note taken of ports", metadata: ["device_id": "\(device)", "error": "\(error)"])
        }
    }
}

extension ComputeService {
    private enum Right {
        /// Something is being done with the instance.
        case undecided
        /// The instance is this host's, and so are its ports.
        case rightful
        /// Nobody's, or of an instance that is elsewhere, and to be told there are none if it is nowhere.
        case nobodys(NovaInstance?)
    }

    /// Releases ports that are bound to this host for something that came to nothing. Others are nobody's business here:
    /// what has been bound to another host meanwhile is that host's.
    func releaseLeftPorts() async {
        guard let network = methods.cloud.network, let store = methods.cloud.leftPorts else { return }
        do {
            let entries = try await store.all()
            if entries.isEmpty { return }
            let open = try await openRequests()
            for entry in entries where !open.contains(entry.instance) {
                // In this order: a port that is bound here by then was not bound for what is decided afterwards.
                let ports = try await network.ports(of: entry.device).filter(isOurs)
                switch ports.isEmpty ? .nobodys(nil) : try await right(to: entry) {
                case .undecided: continue
                case .rightful: break
                case .nobodys(let instance): try await release(ports, entry, instance, network)
                }
                try await store.drop(entry)
            }
        } catch {
            if Task.isCancelled { return }
            logger.warning("ports that were left not released", metadata: ["error": "\(error)"])
        }
    }

    private func isOurs(_ port: JSONObject) -> Bool {
        port["binding:host_id"]?.stringValue == host
            && port["device_owner"]?.stringValue?.hasPrefix("compute:") == true
    }

    private func right(to entry: LeftPorts.Entry) async throws -> Right {
        // Of a request that is over.
        if entry.device != entry.instance { return .nobodys(nil) }
        let context = AdminContext.make(readsDeleted: true)
        guard let instance = try await conductor.instance(entry.instance, context: context), !instance.isDeleted else {
            return .nobodys(nil)
        }
        if instance.host == host { return .rightful }
        if instance.taskState != nil || instance.vmState == .building { return .undecided }
        return .nobodys(instance)
    }

    private func release(
        _ ports: [JSONObject],
        _ entry: LeftPorts.Entry,
        _ instance: NovaInstance?,
        _ network: NetworkClient
    ) async throws {
        for port in ports {
            guard let id = port["id"]?.stringValue else { continue }
            logger.notice("port of nobody released", metadata: ["port": "\(id)", "device_id": "\(entry.device)"])
            if entry.given.contains(id) { try await network.release(id) } else { try await network.delete(id) }
        }
        guard let instance, instance.host == nil, !ports.isEmpty else { return }
        try await conductor.saveNetworkInfo([], of: instance, context: AdminContext.make())
    }
}
