package import Support

/// The diagnostics of a machine in both of Nova's forms (Nova's compute RPC, section 1.3).
package enum NovaDiagnostics {
    /// The one of the names that the class allows; it tells the form of the figures, not the hypervisor.
    private static let driver = "libvirt"
    /// Attributes of each part's class, those that a host knows.
    private static let processor = ["id", "time", "utilisation"]
    private static let disk = ["read_bytes", "read_requests", "write_bytes", "write_requests", "errors_count"]
    private static let interface = [
        "mac_address", "rx_octets", "rx_errors", "rx_drop", "rx_packets", "rx_rate", "tx_octets", "tx_errors",
        "tx_drop", "tx_packets", "tx_rate",
    ]

    /// A `Diagnostics` object.
    ///
    /// - Parameters:
    ///   - figures: as the host tells them.
    ///   - state: `running`, `paused`, `shutdown`, `crashed` or `suspended`.
    package static func object(
        _ figures: JSONObject,
        state: String,
        hypervisor: String,
        configDrive: Bool,
        _ versions: ObjectVersions
    ) -> NovaObject {
        func parts(_ name: String, _ className: String, _ attributes: [String]) -> JSONValue {
            let list = figures[name]?.arrayValue ?? []
            return .array(list.map { part(className, $0, attributes, versions).primitive })
        }
        var object = versions.make(
            "Diagnostics",
            [
                "state": .string(state), "driver": .string(driver),
                "hypervisor": .string(figures["hypervisor"]?.stringValue ?? hypervisor), "hypervisor_os": "linux",
                "config_drive": .bool(figures["config_drive"]?.boolValue ?? configDrive),
                "cpu_details": parts("cpu_details", "CpuDiagnostics", processor),
                "nic_details": parts("nic_details", "NicDiagnostics", interface),
                "disk_details": parts("disk_details", "DiskDiagnostics", disk),
                "memory_details": part(
                    "MemoryDiagnostics",
                    figures["memory_details"] ?? .object([:]),
                    ["maximum", "used"],
                    versions
                ).primitive,
            ]
        )
        for name in ["num_cpus", "num_nics", "num_disks"] {
            if let number = figures[name]?.intValue { object.set(name, .int(number)) }
        }
        let uptime = figures["uptime"]?.intValue ?? figures["uptime_ms"]?.intValue.map { $0 / 1000 }
        if let uptime { object.set("uptime", .int(uptime)) }
        return object
    }

    /// What the host does not know stays unset.
    private static func part(
        _ className: String,
        _ figures: JSONValue,
        _ attributes: [String],
        _ versions: ObjectVersions
    ) -> NovaObject {
        var object = versions.make(className, [:])
        for attribute in attributes {
            if let value = figures[attribute], !value.isNull { object.set(attribute, value) }
        }
        return object
    }

    /// Names and numbers in one level, as the older form has them: `disk_details0_read_bytes`.
    package static func flat(_ figures: JSONObject) -> JSONObject {
        var flat: JSONObject = [:]
        func add(_ name: String, _ value: JSONValue) {
            switch value {
            case .int, .double, .bigInteger: flat[name] = value
            case .bool(let flag): flat[name] = .int(flag ? 1 : 0)
            case .object(let members): for member in members { add("\(name)_\(member.key)", member.value) }
            case .array(let values): for (number, value) in values.enumerated() { add("\(name)\(number)", value) }
            case .string, .null: break
            }
        }
        for member in figures { add(member.key, member.value) }
        return flat
    }
}
