import HostBackend
import HostConformance
import Support

extension PluginCheck {
    static let machines = [
        PluginCheck("names that are none are refused", section: "7.2", shapes: .all) { bench in
            let subject = try await PluginSubject(bench)
            let names = [
                "", ".", "..", "../up", "a/b", ".hidden", "-x", "a b", "a\nb", "a\u{0}b", "é", "a;b", "$(id)",
                String(repeating: "a", count: 129),
            ]
            for name in names {
                var spec = try await subject.newSpec("good", bare: true)
                spec.name = name
                try await bench.error(
                    [.invalidArgument],
                    "machine.create",
                    ["spec": .object(spec.record)],
                    what: "a machine named \(name.prefix(20).debugDescription)"
                )
                let listed = try await subject.host.machines().contains { $0.uuid == spec.uuid }
                try check(!listed, "no machine named \(name.debugDescription)", seen: "it is listed")
            }
        },
        PluginCheck("the longest and oddest of good names are taken", section: "7.2", shapes: .all) { bench in
            let subject = try await PluginSubject(bench)
            for name in ["A.b_c-9", "0", "a" + String(repeating: "-", count: 127)] {
                var spec = try await subject.newSpec("good", bare: true)
                spec.name = name
                try await subject.host.createMachine(spec)
                try checkEqual(try await subject.host.machine(spec.uuid).name, name, "the name")
                try await subject.host.deleteMachine(spec.uuid)
            }
        },
        PluginCheck("machine.list in pages lists each machine once", section: "7.2", shapes: .all) { bench in
            let subject = try await PluginSubject(bench)
            var specs: [MachineSpec] = []
            for number in 0..<5 { specs.append(try await subject.newSpec("page-\(number)", bare: true)) }
            for spec in specs { try await subject.host.createMachine(spec) }
            var counts: [String: Int] = [:]
            var params: JSONObject = ["limit": 2]
            for page in 0... {
                guard case .result(let result) = try await bench.request("machine.list", params) else {
                    throw CheckFailure(expected: "machine.list succeeds", seen: "an error")
                }
                let machines = result["machines"]?.arrayValue ?? []
                try check(machines.count <= 2, "at most two machines on a page", seen: "\(machines.count)")
                for machine in machines { counts[machine["uuid"]?.stringValue ?? "", default: 0] += 1 }
                guard let next = result["next"], !next.isNull else { break }
                try check(page < 10_000, "a last page", seen: "no end of pages")
                params["after"] = next
            }
            for spec in specs {
                try checkEqual(counts[spec.uuid.text] ?? 0, 1, "how often \(spec.name) is listed")
                try await subject.host.deleteMachine(spec.uuid)
            }
        },
        PluginCheck(
            "paths outside of the instances' directory are refused",
            section: "7.2",
            shapes: .all,
            isAdvice: true
        ) { bench in
            let subject = try await PluginSubject(bench)
            guard let format = subject.host.capabilities.diskFormats.first else { return }
            let inside = bench.instances
            for path in [bench.instances + ".outside.disk", inside + "/../outside.disk", "outside.disk"] {
                let params: JSONObject = [
                    "path": .string(path), "format": .string(format), "source": "blank", "virtual_size": 1_048_576,
                ]
                try await bench.error([.invalidArgument], "disk.create", params, what: "a disk at \(path)")
            }
        },
    ]
}
