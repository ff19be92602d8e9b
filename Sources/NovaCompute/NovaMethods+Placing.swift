import NovaObjects
import Support

/// What a record says of where its instance is.
extension NovaMethods {
    /// The first that has the number of the node's record too (Nova 28).
    private static let firstWithNode = ObjectVersion(2, 8)

    private var hasNode: Bool { versions[NovaInstance.className] >= Self.firstWithNode }

    /// It is here.
    var placing: JSONObject {
        var changes: JSONObject = ["host": .string(host), "node": .string(host)]
        if hasNode, let node = cloud.provider.node { changes["compute_id"] = .int(node) }
        return changes
    }

    /// What is saved when it is nowhere: the number goes with the names.
    func unplacing(_ changes: JSONObject) -> JSONObject {
        guard hasNode, changes["host"] == .null else { return changes }
        var changes = changes
        changes["compute_id"] = .null
        return changes
    }
}
