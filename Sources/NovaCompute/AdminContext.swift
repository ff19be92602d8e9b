import Support

/// Who asks when a host does something of its own accord (Nova's compute RPC, section 3.4).
enum AdminContext {
    /// - Parameter readsDeleted: whether records count that are marked deleted.
    static func make(readsDeleted: Bool = false) -> JSONObject {
        [
            "is_admin": true, "roles": [], "user_id": .null, "project_id": .null,
            "read_deleted": readsDeleted ? "yes" : "no", "request_id": .string("req-\(UniqueID.makeDashed())"),
        ]
    }
}
