extension PluginSkeleton {
    /// The host: what a new plugin's author replaces.
    static let swiftHost = #"""
        import Foundation

        /// A machine as this host keeps it. Replace it by what your hypervisor has.
        struct Machine: Codable {
            var uuid: String
            var name: String
            var state: String
            var incarnation: Int
            var memoryMB: Int
            var vcpus: Int
            /// The whole definition, to tell whether another one is the same.
            var definition: Data
        }

        /// The hypervisor. Here machines are records in a file, which outlives the process: the worker may kill it at any
        /// moment, and what it was told must be true afterwards.
        final class Host {
            typealias Report = (_ uuid: String, _ incarnation: Int, _ type: String, _ reason: String?) -> Void

            private struct State: Codable {
                var machines: [String: Machine] = [:]
                var incarnations: [String: Int] = [:]
            }

            let disks: Disks
            private let name: String
            private let file: URL
            private let report: Report
            private let lock = NSLock()
            private var state = State()

            init(_ hello: Object, report: @escaping Report) throws {
                name = hello["host"] as? String ?? "localhost"
                self.report = report
                let options = hello["options"] as? Object ?? [:]
                disks = Disks(below: try hello.text("instances_directory"), images: options["images"] as? String)
                file = URL(fileURLWithPath: try hello.text("state_directory")).appendingPathComponent("machines.json")
                if let data = try? Data(contentsOf: file) { state = try JSONDecoder().decode(State.self, from: data) }
            }

            /// What the handshake says of this host. A stable id matters: the worker refuses a host that changes it.
            var description: Object {
                [
                    "plugin": ["name": "@NAME@", "version": "0.1"],
                    "host": ["id": "@NAME@-\(name)", "name": name, "hypervisor_type": "@NAME@", "hypervisor_version": 1],
                    "capabilities": ["flags": ["host.events", "machine.pause"], "disk_formats": ["raw"]],
                    "limits": ["max_frame": 1 << 20, "max_parallel": 8],
                ]
            }

            /// Each method of the protocol that this host has.
            func call(_ method: String, _ params: Object) throws -> Object {
                switch method {
                case "host.info": return info
                case "host.probe", "events.subscribe": return [:]
                case "machine.list": return try list(params)
                case "machine.get": return try get(try params.text("uuid"))
                case "machine.create": return try create(try params.object("spec"))
                case "machine.delete": return try delete(try params.text("uuid"))
                case "machine.setState": return try setState(try params.text("uuid"), try params.text("state"))
                case "image.get": return try disks.image(try params.text("reference"), params)
                case "disk.create": return try disks.create(params)
                case "disk.info": return try disks.info(try params.text("path"))
                default: throw PluginError(code: "unimplemented", message: "there is no method \(method)")
                }
            }

            private var info: Object {
                [
                    "vcpus": ProcessInfo.processInfo.processorCount,
                    "memory_mb": Int(ProcessInfo.processInfo.physicalMemory >> 20), "memory_used_mb": 0,
                    "disk_gb": 100, "disk_used_gb": 0, "hypervisor_type": "@NAME@", "hypervisor_version": 1,
                    "hypervisor_hostname": name,
                    "cpu": [
                        "architecture": "x86_64", "model": "", "vendor": "", "sockets": 1, "cores": 1, "threads": 1,
                        "features": [String](),
                    ] as Object,
                ]
            }

            private func list(_ params: Object) throws -> Object {
                let limit = max(1, params.number("limit") ?? 100)
                let after = params["after"] as? String ?? ""
                return lock.withLock {
                    let rest = state.machines.values.filter { $0.uuid > after }.sorted { $0.uuid < $1.uuid }
                    let page = rest.prefix(limit)
                    var result: Object = [
                        "machines": page.map {
                            ["name": $0.name, "uuid": $0.uuid, "state": $0.state, "incarnation": $0.incarnation] as Object
                        }
                    ]
                    if rest.count > page.count { result["next"] = page.last?.uuid }
                    return result
                }
            }

            private func get(_ uuid: String) throws -> Object {
                try lock.withLock {
                    let machine = try find(uuid)
                    return [
                        "uuid": uuid, "name": machine.name, "state": machine.state, "incarnation": machine.incarnation,
                        "max_memory_kb": machine.memoryMB << 10, "cpu_count": machine.vcpus, "has_console": false,
                    ]
                }
            }

            /// Defines a machine. The same definition again is fine; another one under its uuid is not.
            private func create(_ spec: Object) throws -> Object {
                let uuid = try spec.text("uuid")
                let name = try spec.text("name")
                guard UUID(uuidString: uuid) != nil,
                    name.utf8.count <= 128,
                    name.range(of: "^[A-Za-z0-9][A-Za-z0-9._-]*\\z", options: .regularExpression) != nil
                else { throw PluginError(code: "invalid_argument", message: "not a name of a machine", details: ["field": "name"]) }
                let definition = try JSONSerialization.data(withJSONObject: spec, options: .sortedKeys)
                try lock.withLock {
                    if let machine = state.machines[uuid] {
                        if machine.definition == definition { return }
                        throw PluginError(code: "already_exists", message: "machine \(uuid) exists and is another")
                    }
                    let incarnation = (state.incarnations[uuid] ?? 0) + 1
                    state.incarnations[uuid] = incarnation
                    state.machines[uuid] = Machine(
                        uuid: uuid, name: name, state: "off", incarnation: incarnation,
                        memoryMB: spec.number("memory_mb") ?? 0, vcpus: spec.number("vcpus") ?? 1, definition: definition
                    )
                    try save()
                }
                return [:]
            }

            private func delete(_ uuid: String) throws -> Object {
                try lock.withLock {
                    guard let machine = state.machines.removeValue(forKey: uuid) else { return }
                    try save()
                    if machine.state != "off" { report(uuid, machine.incarnation, "stopped", "requested") }
                    report(uuid, machine.incarnation, "removed", nil)
                }
                return [:]
            }

            /// Gets the machine to a state. Here it is a word in a record; a real hypervisor takes its time.
            private func setState(_ uuid: String, _ target: String) throws -> Object {
                try lock.withLock {
                    var machine = try find(uuid)
                    let event: (type: String, reason: String?)
                    switch (machine.state, target) {
                    case (let now, _) where now == target: return ["state": target]
                    case ("off", "running"): event = ("started", nil)
                    case ("paused", "running"): event = ("resumed", nil)
                    case ("running", "paused"): event = ("paused", nil)
                    case (_, "off"): event = ("stopped", "requested")
                    case (_, "running"), (_, "paused"), (_, "saved"):
                        let message = "machine \(uuid) is \(machine.state)"
                        throw PluginError(code: "invalid_state", message: message, details: ["state": machine.state])
                    default: throw PluginError(code: "invalid_argument", message: "there is no state \(target)")
                    }
                    machine.state = target
                    state.machines[uuid] = machine
                    try save()
                    report(uuid, machine.incarnation, event.type, event.reason)
                    return ["state": target]
                }
            }

            private func find(_ uuid: String) throws -> Machine {
                guard let machine = state.machines[uuid] else {
                    throw PluginError(code: "not_found", message: "there is no machine \(uuid)")
                }
                return machine
            }

            /// Whole or not at all.
            private func save() throws { try JSONEncoder().encode(state).write(to: file, options: .atomic) }
        }
        """#

    static let swiftDisks = #"""
        import Foundation

        /// Disks as raw files below the instances' directory, and images as the files of a directory.
        struct Disks {
            let root: String
            let images: String?

            init(below root: String, images: String?) {
                self.root = root
                self.images = images
            }

            func image(_ reference: String, _ params: Object) throws -> Object {
                guard !reference.isEmpty, !reference.contains("/"), !reference.hasPrefix(".") else {
                    throw PluginError(code: "invalid_argument", message: "not a name of an image", details: ["field": "reference"])
                }
                guard let images, let size = size(of: images + "/" + reference) else {
                    throw PluginError(code: "not_found", message: "there is no image \(reference)")
                }
                if let wanted = params.number("size"), wanted != size {
                    throw PluginError(code: "invalid_argument", message: "the image \(reference) has \(size) bytes")
                }
                if let checksums = params["checksums"] as? [Any], !checksums.isEmpty {
                    throw PluginError(code: "unimplemented", message: "this plugin checks no checksums")
                }
                return ["reference": reference, "path": images + "/" + reference, "format": "raw", "virtual_size": size]
            }

            func create(_ params: Object) throws -> Object {
                let path = try checked(try params.text("path"))
                guard try params.text("format") == "raw" else {
                    throw PluginError(code: "invalid_argument", message: "disks are raw", details: ["field": "format"])
                }
                guard !FileManager.default.fileExists(atPath: path) else {
                    throw PluginError(code: "already_exists", message: "there is a disk \(path)")
                }
                let unfinished = path + ".new"
                try? FileManager.default.removeItem(atPath: unfinished)
                do {
                    switch try params.text("source") {
                    case "blank": try Data().write(to: URL(fileURLWithPath: unfinished))
                    case "copy":
                        let image = try params.object("image").text("path")
                        try FileManager.default.copyItem(atPath: image, toPath: unfinished)
                    default: throw PluginError(code: "unimplemented", message: "there are no copy-on-write disks here")
                    }
                    if let size = params.number("virtual_size"), size > self.size(of: unfinished) ?? 0 {
                        let disk = try FileHandle(forWritingTo: URL(fileURLWithPath: unfinished))
                        try disk.truncate(atOffset: UInt64(size))
                        try disk.close()
                    }
                    try FileManager.default.moveItem(atPath: unfinished, toPath: path)
                } catch {
                    try? FileManager.default.removeItem(atPath: unfinished)
                    throw error
                }
                return try info(path)
            }

            func info(_ path: String) throws -> Object {
                guard let size = size(of: path) else { throw PluginError(code: "not_found", message: "there is no disk \(path)") }
                return ["path": path, "format": "raw", "virtual_size": size, "actual_size": size]
            }

            private func checked(_ path: String) throws -> String {
                let parts = path.split(separator: "/")
                guard path.hasPrefix(root + "/"), !parts.contains("..") else {
                    throw PluginError(code: "invalid_argument", message: "\(path) is not below \(root)", details: ["field": "path"])
                }
                return path
            }

            private func size(of path: String) -> Int? {
                (try? FileManager.default.attributesOfItem(atPath: path))?[.size] as? Int
            }
        }
        """#
}
