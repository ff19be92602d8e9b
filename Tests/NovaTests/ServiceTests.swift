import DaemonBench
import Foundation
import JSONCodec
import Support
import TestSupport
import Testing

/// Hosts as services of a control plane whose conductor is Nova's own, with what that leaves in the database.
@Suite(.needsBroker, .needsNova, .timeLimit(.minutes(20)))
struct ServiceTests {
    @Test(arguments: await NovaRelease.available())
    func aHostIsRegisteredAndLivesItsLife(release: NovaRelease) async throws {
        let options = [
            "nova": release == .nova26 ? [:] : ["object_versions": "Instance:2.8"],
            "DEFAULT": [
                "my_ip": "192.0.2.7", "ram_allocation_ratio": "1.5", "initial_disk_allocation_ratio": "2",
                "reserved_host_memory_mb": "1024",
            ],
        ]
        try await ControlPlane.run(release, conductor: true, service: true, options: options) { nova in
            try await Self.records(nova)
            let uuid = try await nova.boot()
            let node = try #require(try await nova.service("host-a").node)
            // Beside the names of host and node, by a host that may say it.
            #expect(try await nova.show(uuid)["compute_id"] == (release == .nova26 ? nil : node["id"]))
            try await eventually(timeout: .seconds(120), "the host's record counts the instance") {
                let node = try await nova.service("host-a").node
                return node?["running_vms"] == 1 && node?["memory_mb_used"] == 1152 && node?["vcpus_used"] == 1
            }
            try await Self.power(nova, uuid)
            try await nova.waitForConsole(uuid)
            try await Self.migrate(nova, uuid)
            try await nova.ask("begin", ["uuid": .string(uuid), "task_state": "deleting"])
            try await nova.compute("terminate_instance", uuid, ["bdms": .array([])], action: "delete")
            try await eventually(timeout: .seconds(120), "the record is deleted, and its room free") {
                let isDeleted = try await nova.show(uuid)["deleted"] == true
                let instances = try await nova.service("host-b").node?["running_vms"]
                return isDeleted && instances == 0
            }
            // A guest that switches itself off, perhaps before anybody sees it run.
            let other = try await nova.create(on: nil, ["metadata": ["sim.poweroff_after_ms": "1000"]])
            try await nova.ask("build", ["uuid": .string(other), "host": "host-a", "image": ControlPlane.image])
            #expect(try await nova.wait(other, "stopped")["power_state"] == 4)
            // Taken out with its records, and added again.
            try await nova.daemon.terminate()
            try await nova.ask("remove", ["host": "host-a"])
            #expect(try await nova.service("host-a").node == nil)
            try await nova.daemon.start()
            #expect(try await nova.ask("discover")["hosts"] == ["host-a"])
        }
    }

    private static func records(_ nova: ControlPlane) async throws {
        let (service, node) = try await nova.service("host-a")
        #expect(service?["version"]?.intValue == nova.release.serviceVersion)
        #expect(service?["topic"] == "compute")
        #expect(service?["disabled"] == false)
        #expect(node?["hypervisor_hostname"] == "host-a")
        #expect(node?["hypervisor_type"] == "simulated")
        #expect(node?["vcpus"] == 64)
        #expect(node?["memory_mb"] == 2_097_152)
        #expect(node?["free_ram_mb"] == .int(2_097_152 - 1024))
        #expect(node?["memory_mb_used"] == 1024)
        #expect(node?["host_ip"] == "192.0.2.7")
        #expect(node?["ram_allocation_ratio"]?.doubleValue == 1.5)
        #expect(node?["disk_allocation_ratio"]?.doubleValue == 2)
        #expect(node?["running_vms"] == 0)
        #expect(node?["cpu_allocation_ratio"]?.doubleValue == 4)
        #expect(node?["cpu_info"]?.stringValue?.contains("\"x86_64\"") == true)
        #expect(node?["stats"]?["uptime"]?.stringValue?.contains("load average") == true)
        let kinds = node?["supported_hv_specs"]?.arrayValue?.first?["nova_object.data"]
        #expect(kinds?["arch"] == "x86_64")
        #expect(kinds?["vm_mode"] == "hvm")
        let identity = try String(contentsOfFile: Self.identity(nova, "host-a"), encoding: .utf8)
        #expect(node?["uuid"]?.stringValue == identity.trimmingCharacters(in: .whitespacesAndNewlines))
        let hosts = try await nova.ask("discover")["hosts"]?.arrayValue?.compactMap(\.stringValue)
        #expect(hosts?.sorted() == ["host-a", "host-b"])
        let count = service?["report_count"]?.intValue ?? 0
        let seen = service?["last_seen_up"]?.doubleValue ?? 0
        #expect(count >= 1)
        try await eventually(timeout: .seconds(120), "further signs of life") {
            let now = try await nova.service("host-a").service
            return (now?["report_count"]?.intValue ?? 0) > count + 1 && (now?["last_seen_up"]?.doubleValue ?? 0) > seen
        }
    }

    private static func identity(_ nova: ControlPlane, _ host: String) -> String {
        nova.daemon.statePath + "/\(host)/compute_id"
    }

    private static func power(_ nova: ControlPlane, _ uuid: String) async throws {
        for (method, arguments, task, state) in [
            ("stop_instance", ["clean_shutdown": false], "powering-off", "stopped"),
            ("start_instance", [:], "powering-on", "active"), ("pause_instance", [:], "pausing", "paused"),
            ("unpause_instance", [:], "unpausing", "active"), ("suspend_instance", [:], "suspending", "suspended"),
            ("resume_instance", [:], "resuming", "active"),
            ("reboot_instance", ["block_device_info": nil, "reboot_type": "HARD"], "rebooting_hard", "active"),
        ] as [(String, JSONObject, String, String)] {
            try await nova.ask("begin", ["uuid": .string(uuid), "task_state": .string(task)])
            try await nova.compute(method, uuid, arguments, action: "test")
            try await nova.wait(uuid, state)
        }
        #expect(try await nova.show(uuid)["faults"] == .array([]))
    }

    private static func migrate(_ nova: ControlPlane, _ uuid: String) async throws {
        let answer = try await nova.ask("migrate", ["uuid": .string(uuid), "dest": "host-b"])
        let number = try #require(answer["migration"]?.intValue)
        try await eventually(timeout: .seconds(120), "the migration is completed") {
            try await nova.show(uuid, migration: number)["migration"] == "completed"
        }
        let shown = try await nova.wait(uuid, "active")
        #expect(shown["host"] == "host-b")
        let node = try await nova.service("host-b").node?["id"]
        #expect(shown["compute_id"] == (nova.release == .nova26 ? nil : node))
    }

    // MARK: - After a crash

    @Test func whatACrashLeavesUndoneIsBroughtToAnEnd() async throws {
        let options = ["nova": ["rpc_response_timeout": "5", "shutdown_timeout": "1"]]
        try await ControlPlane.run(conductor: true, service: true, options: options) { nova in
            let stopping = try await nova.boot()
            let vanished = try await nova.boot()
            let rebooting = try await nova.boot()
            let deleting = try await nova.boot()
            // The journal has this one, and it is on its way when the host dies.
            let booting = try await nova.create(on: nil, ["metadata": ["sim.delay.set_state_ms": "4000"]])
            try await nova.ask("build", ["uuid": .string(booting), "host": "host-a", "image": ControlPlane.image])
            try await eventually(timeout: .seconds(120), "the boot has begun") {
                let shown = try await nova.show(booting)
                return shown["task_state"] == "spawning" || shown["vm_state"] == "active"
            }
            try await nova.daemon.kill()

            // What happened meanwhile, or never came to be.
            for (uuid, task) in [(stopping, "powering-off"), (rebooting, "rebooting"), (deleting, "deleting")] {
                try await nova.ask("begin", ["uuid": .string(uuid), "task_state": .string(task)])
            }
            try await nova.ask("vanish", ["uuid": .string(vanished)])
            let lost = try await nova.create(on: "host-a", ["vm_state": "building"])
            try await nova.ask("alter", ["uuid": .string(lost), "fields": ["task_state": "spawning"]])
            try await nova.ask("conductor", ["serve": false])

            try await nova.daemon.start(waitsForService: false)
            try await nova.daemon.waitForLog("waiting for the conductor")
            try await nova.ask("conductor", ["serve": true])
            try await nova.daemon.waitForService()

            #expect(try await nova.wait(stopping, "stopped")["power_state"] == 4)
            #expect(try await nova.wait(rebooting, "active")["power_state"] == 1)
            #expect(try await nova.wait(lost, "error")["host"] == "host-a")
            #expect(try await nova.wait(booting, "active")["power_state"] == 1)
            try await eventually(timeout: .seconds(120), "what was to be deleted is gone") {
                try await nova.show(deleting)["deleted"] == true
                    && !Self.has(nova, deleting) && !Self.has(nova, vanished)
            }
            #expect(Self.has(nova, rebooting))
            try await Self.refusals(nova)
        }
    }

    private static func has(_ nova: ControlPlane, _ uuid: String) -> Bool {
        FileManager.default.fileExists(atPath: nova.daemon.statePath + "/host-a/instances/\(uuid)")
    }

    /// Somebody else's name, and an identifier that got lost: nothing that a host could put right by itself.
    private static func refusals(_ nova: ControlPlane) async throws {
        let file = identity(nova, "host-a")
        let own = try String(contentsOfFile: file, encoding: .utf8)
        let other = try String(contentsOfFile: identity(nova, "host-b"), encoding: .utf8)
        for (content, complaint) in [
            (other, "belongs to host host-b"), ("4e1c2a7e-6f0d-4f5b-9a35-1f2e3d4c5b6a\n", "according to"),
            (nil, "is missing"),
        ] as [(String?, String)] {
            try await nova.daemon.terminate()
            if let content {
                try content.write(toFile: file, atomically: true, encoding: .utf8)
            } else {
                try FileManager.default.removeItem(atPath: file)
            }
            try await nova.daemon.start(waitsForService: false)
            try await nova.daemon.waitForLog(complaint)
            // The other one is served all the same.
            try await nova.daemon.waitForLog(" serving hosts=host-b")
            try await nova.compute("get_host_uptime", nil, ["host": "host-b"])
            let status = try await AdminRequest.get("/status", at: nova.daemon.adminSocket)
            let hosts = try JSONReader.read(status.utf8.span)["hosts"]?.arrayValue ?? []
            #expect(hosts.first?["refused"]?.stringValue?.contains(complaint) == true)
            #expect(hosts.count == 2 && hosts.last?["refused"] == nil)
        }
        // Put right, it is served too.
        try own.write(toFile: file, atomically: true, encoding: .utf8)
        try await nova.daemon.waitForLog("host is served now host=host-a", timeout: .seconds(120))
        try await nova.compute("get_host_uptime", nil, ["host": "host-a"])
        let uuid = try await nova.boot(on: "host-a")
        #expect(try await nova.show(uuid)["host"] == "host-a")
        try await nova.daemon.terminate()
        var settings = nova.daemon.settings
        settings.options["nova"]?["service_version"] = "64"
        nova.daemon.settings = settings
        try await nova.daemon.start(waitsForService: false)
        try await nova.daemon.waitForLog("as old as version 64")
        #expect(try await nova.daemon.untilEnded() != "0")
    }
}
