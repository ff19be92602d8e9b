import Support

/// What a host offers of one class of resources.
package struct PlacementInventory: Sendable, Hashable {
    package var total: Int
    package var reserved: Int
    package var maximumUnit: Int
    package var allocationRatio: Double
    /// Whether a ratio that the service has already stays, which an operator may have set.
    package var keepsRatio: Bool

    package init(
        total: Int,
        reserved: Int = 0,
        maximumUnit: Int? = nil,
        allocationRatio: Double = 1,
        keepsRatio: Bool = false
    ) {
        self.total = total
        self.keepsRatio = keepsRatio
        self.reserved = reserved
        self.maximumUnit = maximumUnit ?? total
        self.allocationRatio = allocationRatio
    }

    var json: JSONValue {
        [
            "total": .int(Int64(total)), "reserved": .int(Int64(reserved)), "min_unit": 1,
            "max_unit": .int(Int64(max(maximumUnit, 1))), "step_size": 1, "allocation_ratio": .double(allocationRatio),
        ]
    }

    /// The inventory as it is to be written over what the service has.
    func over(_ present: JSONValue?) -> PlacementInventory {
        guard keepsRatio, let ratio = present?["allocation_ratio"]?.doubleValue else { return self }
        var inventory = self
        inventory.allocationRatio = ratio
        return inventory
    }

    /// Whether the service has the same.
    func isSame(as value: JSONValue) -> Bool {
        value["total"]?.intValue == Int64(total) && value["reserved"]?.intValue == Int64(reserved)
            && value["max_unit"]?.intValue == Int64(max(maximumUnit, 1))
            && abs((value["allocation_ratio"]?.doubleValue ?? -1) - allocationRatio) < 0.0001
    }
}

/// What a host is to have at the placement service.
package struct PlacementProvider: Sendable, Hashable {
    /// The compute node's.
    package var uuid: String
    package var name: String
    /// By class: `VCPU`, `MEMORY_MB`, `DISK_GB`.
    package var inventories: [String: PlacementInventory]
    /// Those that the host answers for and has.
    package var traits: Set<String>
    /// Those that the host answers for; whatever else the provider has is an operator's.
    package var ownTraits: Set<String>

    package init(
        uuid: String,
        name: String,
        inventories: [String: PlacementInventory],
        traits: Set<String>,
        ownTraits: Set<String>
    ) {
        self.uuid = uuid
        self.name = name
        self.inventories = inventories
        self.traits = traits
        self.ownTraits = ownTraits.union(traits)
    }
}
