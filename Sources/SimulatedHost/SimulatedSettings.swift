package import HostBackend

/// The options of the group `simulated`.
package struct SimulatedSettings: Sendable, Hashable {
    /// The guests' behaviour where their metadata say nothing else.
    package var guest = GuestBehaviour()
    /// `delay_<primitive>_ms` and `fault_<primitive>`.
    package var plan = FaultPlan()
    /// `vcpus`: processors of the host. Guests may have sixteen times as many in all.
    package var vcpus = 64
    /// `memory_mb`: memory of the host; guests cannot have more in all.
    package var memoryMB = 2 << 20
    /// `disk_gb`: room for disks; the sizes that guests see cannot sum up to more.
    package var diskGB = 100_000
    /// `migration_ms`: how long the memory copy of a live migration takes.
    package var migrationMilliseconds: UInt64 = 500
    /// `address` of the group `migration`: where guests of other processes are listened for.
    package var migrationAddress = "127.0.0.1"
    /// `ports` of the group `migration`; `nil` = any.
    package var migrationPorts: ClosedRange<Int>?
    /// `tls` and what belongs to it of the group `migration`; `nil` = no encryption.
    package var migrationTLS: MigrationCertificates?
    /// `bandwidth` of the group `migration`, bytes a second; `nil` = any number.
    package var migrationBandwidth: Int?
    /// `progress_timeout` and `switchover_timeout` of the group `migration`.
    package var progressTimeout: Duration = .seconds(30)
    package var switchoverTimeout: Duration = .seconds(10)
    /// `images_path`; `nil` = `images` below the state directory.
    package var imagesPath: String?
    /// `shared_storage`: whether hosts see each other's disks. `nil` = whatever the files show: a disk that is the same
    /// file at both ends is shared. `true` refuses copying disks, `false` refuses not copying them.
    package var sharedStorage: Bool?
    /// `foreign_machines`: names of machines that are not ours; they are listed, running, and cannot be touched.
    package var foreignMachines: [String] = []
    /// `console_buffer_bytes`: output kept per machine while nobody reads; beyond it the oldest is dropped, counted.
    package var consoleBufferBytes = 256 << 10
    /// `sync_state`: whether the machines' state files also survive a power cut. Without it they survive the death of
    /// the process at any moment, and cost no disk flush per operation.
    package var syncState = true
    /// `plugs_interfaces`: whether the host says of itself that a network service connects what it plugs.
    package var plugsInterfaces = false
    /// `without_capabilities`: names of capabilities that the host is to lack.
    package var withoutCapabilities: Set<String> = []
    /// `qemu_img_cmd` of the group `hyperv`.
    package var qemuImgCommand = "qemu-img"
    /// Where tools are looked for; `nil` = the environment's PATH.
    package var toolSearchPath: String?

    package init() {}

    /// Applies one option of the group `simulated` by name, as a configuration file has it.
    ///
    /// - Returns: `false` when there is no such option.
    /// - Throws: `invalidArgument` when the value does not fit.
    package mutating func set(option name: String, _ value: String) throws(BackendError) -> Bool {
        if try guest.set(name, value) { return true }
        if try setPlan(name, value) { return true }
        switch name {
        case "vcpus": vcpus = try number(name, value, 1...4096)
        case "memory_mb": memoryMB = try number(name, value, 1...(1 << 30))
        case "disk_gb": diskGB = try number(name, value, 1...(1 << 30))
        case "migration_ms": migrationMilliseconds = UInt64(try number(name, value, 0...(1 << 31)))
        case "images_path": imagesPath = value.isEmpty ? nil : value
        case "shared_storage": sharedStorage = value == "auto" ? nil : try boolean(name, value)
        case "foreign_machines": foreignMachines = list(value)
        case "console_buffer_bytes": consoleBufferBytes = try number(name, value, 1024...(1 << 30))
        case "sync_state": syncState = try boolean(name, value)
        case "plugs_interfaces": plugsInterfaces = try boolean(name, value)
        case "without_capabilities": withoutCapabilities = Set(list(value))
        default: return false
        }
        return true
    }

    private mutating func setPlan(_ name: String, _ value: String) throws(BackendError) -> Bool {
        if name.hasPrefix("fault_"), let primitive = Primitive(name: name.dropFirst(6)) {
            plan.faults[primitive] = try FaultRule.parse(value)
            return true
        }
        if name.hasPrefix("delay_"), name.hasSuffix("_ms"),
            let primitive = Primitive(name: name.dropFirst(6).dropLast(3))
        {
            plan.delays[primitive] = .milliseconds(Int64(try number(name, value, 0...(1 << 31))))
            return true
        }
        return false
    }

    private func number(_ name: String, _ value: String, _ range: ClosedRange<Int>) throws(BackendError) -> Int {
        guard let number = Int(value), range.contains(number) else {
            throw BackendError(
                .invalidArgument,
                "\(name): not a number from \(range.lowerBound) to \(range.upperBound): \(value)"
            )
        }
        return number
    }

    private func boolean(_ name: String, _ value: String) throws(BackendError) -> Bool {
        switch value.lowercased() {
        case "true", "1", "yes", "on": return true
        case "false", "0", "no", "off": return false
        default: throw BackendError(.invalidArgument, "\(name): not true or false: \(value)")
        }
    }

    private func list(_ value: String) -> [String] {
        value.split(separator: ",").map { String($0.drop(while: \.isWhitespace)) }
            .map { String($0.reversed().drop(while: \.isWhitespace).reversed()) }.filter { !$0.isEmpty }
    }
}
