/// `[simulated]`: how simulated hosts and their guests behave.
///
/// The simulated host itself knows what its options mean; here stand their names, forms and defaults. A test holds
/// both against each other.
package enum SimulatedOptions {
    static let group = "simulated"

    /// What a simulated host can be told to take time for, or to fail at: the primitives of a host backend.
    package static let primitives = [
        "connect", "probe", "host_info", "machines", "machine", "create_machine", "delete_machine", "set_state",
        "reset", "request_shutdown", "cancel_jobs", "diagnostics", "image", "create_disk", "disk_info",
        "resize_disk", "copy_disk", "build_config_drive", "attach_disk", "detach_disk", "connect_volume",
        "disconnect_volume",
        "attach_interface", "detach_interface", "plug_interface", "unplug_interface", "export_root_disk",
        "open_console", "write_console", "check_incoming", "check_outgoing", "prepare_incoming", "migrate",
        "finish_incoming", "abandon_incoming", "finish_outgoing", "take_back", "migrate_setup", "migrate_precopy",
        "migrate_switchover", "migrate_handover", "migrate_completed",
    ]

    static let host: [OptionKey<String>] = [
        text("vcpus", "64", .integer(1...4096), "Processors of the host."),
        text("memory_mb", "2097152", .integer(1...1 << 30), "Memory of the host; guests cannot have more in all."),
        text("disk_gb", "100000", .integer(1...1 << 30), "Room for disks; what guests see cannot sum up to more."),
        text("migration_ms", "500", .milliseconds(0...1 << 31), "How long a live migration copies memory."),
        text("images_path", "", .string, "Where images are; empty: images below state_path."),
        text(
            "shared_storage",
            "auto",
            .choice(["auto", "true", "false"]),
            "Whether hosts see each other's disks; auto: as the files show."
        ),
        text("foreign_machines", "", .list, "Names of machines that are not ours: listed, never touched."),
        text(
            "console_buffer_bytes",
            "262144",
            .integer(1024...1 << 30),
            "Output kept per machine while nobody reads; beyond it the oldest is dropped."
        ),
        text("sync_state", "true", .boolean, "Whether the machines' state files survive a power cut too."),
        text(
            "plugs_interfaces",
            "false",
            .boolean,
            "Pretend that somebody connects plugged interfaces, who tells Nova."
        ),
        text("without_capabilities", "", .list, "Names of capabilities that the host is to lack."),
    ]

    static let guests: [OptionKey<String>] = [
        text("boot_lines", "20", .integer(0...10_000_000), "Numbered lines of a guest's boot log."),
        text("boot_ms", "0", .milliseconds(0...86_400_000), "Time from start to the login prompt."),
        text("lines_per_second", "0", .number(0...1_000_000), "Numbered lines a running guest prints."),
        text("line_bytes", "0", .integer(0...4096), "Length numbered lines are filled up to; 0: as they are."),
        text(
            "console_mode",
            "text",
            .choice(["text", "silent", "flood", "binary", "disconnect"]),
            "What guests print; disconnect: text, the endpoint closing now and then."
        ),
        text("disconnect_bytes", "4096", .integer(1...1 << 30), "Output between two such closings."),
        text(
            "shutdown",
            "obey",
            .string,
            "How a guest takes a request to shut down: obey, ignore, not_ready, not_ready:N, unsupported."
        ),
        text("shutdown_ms", "100", .milliseconds(0...86_400_000), "How long it takes to obey."),
        text("crash_after_ms", "", .string, "Guests crash this long after each boot; empty: never."),
        text("poweroff_after_ms", "", .string, "Guests power off this long after each boot; empty: never."),
        text("reboot_after_ms", "", .string, "Guests reboot this long after each boot; empty: never."),
    ]

    static let delays: [OptionKey<String>] = primitives.map { primitive in
        text(
            "delay_\(primitive)_ms",
            "0",
            .milliseconds(0...86_400_000),
            "How long \(primitive) takes beyond its real work."
        )
    }

    static let faults: [OptionKey<String>] = primitives.map { primitive in
        text(
            "fault_\(primitive)",
            "",
            .fault,
            "When \(primitive) fails: WHEN WHAT [after], several separated by commas. WHEN: always, nth:N, first:N, "
                + "every:N; WHAT: an error code, hang or crash; after: it does its work first."
        )
    }

    static var keys: [OptionKey<String>] { host + guests + delays + faults }
    static var all: [OptionDefinition] { keys.map(\.definition) }

    /// Every option keeps its text: the simulated host reads it.
    private static func text(_ name: String, _ value: String, _ kind: OptionKind, _ help: String) -> OptionKey<String> {
        .string(group, name, default: value, kind: kind, traits: .perHost, help) { text throws(ValueError) in
            try check(text, kind)
            return text
        }
    }

    private static func check(_ text: String, _ kind: OptionKind) throws(ValueError) {
        switch kind {
        case .integer(let range), .milliseconds(let range): _ = try ValueParser.integer(text, in: range)
        case .number(let range):
            guard let number = Double(text), range.contains(number) else {
                throw ValueError("\(ValueParser.quoted(text)) is not a number from \(range.lowerBound)")
            }
        case .boolean: _ = try ValueParser.boolean(text)
        case .choice(let names):
            guard names.contains(text) else {
                throw ValueError("\(ValueParser.quoted(text)) is not one of \(names.joined(separator: ", "))")
            }
        case .fault: try checkFault(text)
        default: break
        }
    }

    /// The form alone; which error codes there are, the host knows.
    private static func checkFault(_ text: String) throws(ValueError) {
        for rule in text.split(separator: ",") {
            let words = rule.split(whereSeparator: \.isWhitespace)
            let hasWhen = words.first.map { word in
                let parts = word.split(separator: ":", omittingEmptySubsequences: false)
                if parts.count == 2 { return ["nth", "first", "every"].contains(parts[0]) && (Int(parts[1]) ?? 0) > 0 }
                return word == "always"
            }
            guard hasWhen == true, words.count == 2 || words.count == 3 && words[2] == "after" else {
                throw ValueError("\(ValueParser.quoted(String(rule))) is not WHEN WHAT [after]")
            }
        }
    }
}
