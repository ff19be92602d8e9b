import NovaObjects
import OsloMessaging
import Support
import VMOps

/// Methods that hosts have nothing for: answered, and told to the users (Nova's compute RPC, sections 1.2 and 8).
extension NovaMethods {
    /// About an instance: its task ends, and so does a migration that comes along.
    static let unsupportedOperations = [
        "swap_volume",
        "rescue_instance", "unrescue_instance", "soft_delete_instance", "restore_instance",
        "trigger_crash_dump", "inject_network_info", "backup_instance", "shelve_instance",
        "shelve_offload_instance", "unshelve_instance", "set_admin_password", "quiesce_instance",
        "unquiesce_instance", "volume_snapshot_create", "volume_snapshot_delete", "add_fixed_ip_to_instance",
        "remove_fixed_ip_from_instance", "prep_snapshot_based_resize_at_dest", "prep_snapshot_based_resize_at_source",
        "finish_snapshot_based_resize_at_dest", "confirm_snapshot_based_resize_at_source",
        "revert_snapshot_based_resize_at_dest", "finish_revert_snapshot_based_resize_at_source",
        "allow_share", "deny_share",
    ]
    /// Those of them that the API sends without a task state: whatever task the instance has is another's.
    private static let withoutTask: Set<String> = [
        "swap_volume", "trigger_crash_dump", "inject_network_info", "quiesce_instance", "unquiesce_instance",
        "volume_snapshot_create", "volume_snapshot_delete", "add_fixed_ip_to_instance",
        "remove_fixed_ip_from_instance", "allow_share", "deny_share",
    ]
    /// Questions: there is no state to be left.
    static let unsupportedQuestions = [
        "check_instance_shared_storage", "get_vnc_console", "get_spice_console",
        "get_serial_console", "get_mks_console", "get_rdp_console", "validate_console_port", "host_power_action",
        "host_maintenance_mode",
    ]

    var unsupported: [RemoteMethod] {
        Self.unsupportedOperations.map(refusing)
            + Self.unsupportedQuestions.map { name in
                reading(name, []) { _ in throw OperationError.notImplemented("\(name) is not supported") }
            } + [imageCaching]
    }

    private func refusing(_ name: String) -> RemoteMethod {
        mutating(name, ["instance"], hidden: ["new_pass", "rescue_password", "injected_files"]) { [self] arguments in
            let instance = try await instance(arguments)
            return try await carryOut(arguments, instance, failure: Self.withoutTask.contains(name) ? .silent : .rest) {
                if let migration = try arguments.object("migration") { try await note(.error, migration, arguments) }
                throw OperationError.notImplemented("\(name) is not supported by host \(host)")
            }
        }
    }

    /// Each image has an answer of its own.
    private var imageCaching: RemoteMethod {
        reading("cache_images", ["image_ids"]) { arguments in
            let ids = arguments["image_ids"]?.arrayValue?.compactMap(\.stringValue) ?? []
            return .object(JSONObject(ids.map { ($0, "unsupported") }))
        }
    }
}
