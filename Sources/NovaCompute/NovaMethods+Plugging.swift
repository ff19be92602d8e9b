import ComputeRPC
import HostBackend
import Logging
import NovaObjects
import OpenStackAPI
import OsloMessaging
import Support
import VMOps

/// A guest is not started before the network service has connected its ports (`network-vif-plugged`), so that its first
/// request for an address is answered.
extension NovaMethods {
    private static let event = "network-vif-plugged"
    /// Kinds of bindings that nobody connects anything for.
    private static let unplugged: Set<String> = ["unbound", "binding_failed"]

    /// What a boot waits for between plugging its interfaces and starting the machine; `nil`: nothing.
    ///
    /// - Parameter interfaces: the VIFs that were made; `nil`: ports are not this host's business.
    func plugging(_ instance: NovaInstance, _ interfaces: [JSONValue]?) -> (@Sendable () async throws -> Void)? {
        guard let interfaces, settings.pluggingTimeout > .zero,
            operations.backend.capabilities.has(.networkPlugged)
        else { return nil }
        let ports = Self.awaited(interfaces)
        if ports.isEmpty { return nil }
        return { [self] in try await waitUntilPlugged(ports, instance) }
    }

    /// The ports that are yet to be connected: those that are up already see no such change (Nova's own rule).
    static func awaited(_ interfaces: [JSONValue]) -> Set<String> {
        var ports: Set<String> = []
        for vif in interfaces {
            guard vif["active"]?.boolValue == false, vif["vnic_type"] != "remote-managed",
                !unplugged.contains(vif["type"]?.stringValue ?? "unbound"), let id = vif["id"]?.stringValue
            else { continue }
            ports.insert(id)
        }
        return ports
    }

    private func waitUntilPlugged(_ ports: Set<String>, _ instance: NovaInstance) async throws {
        let uuid = instance.uuid
        let plugged = cloud.plugged
        // What was told while no worker was there shows in the ports themselves.
        for port in await activePorts(uuid) { plugged.note(port, of: uuid, isPlugged: true) }
        let isFatal = settings.pluggingIsFatal
        logger.info(
            "waiting for ports to be connected",
            metadata: ["instance": "\(uuid)", "ports": "\(ports.count)"]
        )
        let problem: String
        do {
            let failed = try await withDeadline(settings.pluggingTimeout) {
                try await plugged.wait(for: ports, of: uuid, stopsAtFailure: isFatal)
            }
            if failed.isEmpty { return }
            problem = "the network service could not connect \(failed.sorted().joined(separator: ", "))"
        } catch is DeadlineExceeded {
            let missing = plugged.missing(ports, of: uuid).sorted().joined(separator: ", ")
            problem = "no \(Self.event) within \(settings.pluggingTimeout) for \(missing)"
        }
        logger.log(
            level: isFatal ? .error : .warning,
            "ports not connected",
            metadata: ["instance": "\(uuid)", "reason": "\(problem)", "fatal": "\(isFatal)"]
        )
        guard isFatal else { return }
        throw OperationError(
            .virtualInterfaceCreate,
            "Virtual Interface creation failed: \(problem)",
            details: ["reason": problem]
        )
    }

    private func activePorts(_ uuid: String) async -> [String] {
        guard let network = cloud.network else { return [] }
        do {
            return try await network.ports(of: uuid).filter { $0["status"] == "ACTIVE" }.compactMap {
                $0["id"]?.stringValue
            }
        } catch {
            logger.notice("ports not looked at", metadata: ["instance": "\(uuid)", "error": "\(error)"])
            return []
        }
    }

    /// Takes note of what `external_instance_event` tells of ports that boots may wait for.
    func notePlugged(_ events: [JSONValue]) {
        for event in events {
            guard let data = event["nova_object.data"], data["name"]?.stringValue == Self.event,
                let uuid = data["instance_uuid"]?.stringValue, let port = data["tag"]?.stringValue
            else { continue }
            switch data["status"]?.stringValue {
            case "completed": cloud.plugged.note(port, of: uuid, isPlugged: true)
            case "failed": cloud.plugged.note(port, of: uuid, isPlugged: false)
            default: break
            }
        }
    }
}
