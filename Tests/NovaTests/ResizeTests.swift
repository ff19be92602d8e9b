import Support
import TestSupport
import Testing

/// Cold migrations and resizes as Nova asks for them, with a cloud's ports and allocations and Nova's own conductor.
@Suite(.needsBroker, .needsNova, .timeLimit(.minutes(15)))
struct ResizeTests {
    static let larger: JSONValue = ["memory_mb": 256, "vcpus": 2, "root_gb": 2]
    static let patience = Duration.seconds(150)

    /// A move that Nova's conductor has begun.
    struct Move: Sendable {
        let instance: String
        let migration: Int64
        let uuid: String
    }

    static func run(
        _ release: NovaRelease = .nova34,
        _ body: @escaping @Sendable (ControlPlane, CloudServer) async throws -> Void
    ) async throws {
        let options = ["nova": ["report_interval": "5", "update_resources_interval": "3"]]
        try await CloudTests.run(options, release: release, body)
    }

    static func boot(
        _ nova: ControlPlane,
        _ cloud: CloudServer,
        _ more: JSONObject = [:]
    ) async throws -> String {
        let uuid = try await CloudTests.build(nova, cloud, [["network_id": .string(CloudTests.network)]], more)
        try await nova.wait(uuid, "active")
        return uuid
    }

    /// Has the conductor's part done, but for the allocations.
    static func move(
        _ nova: ControlPlane,
        _ uuid: String,
        to host: String,
        flavor: JSONValue? = nil,
        alternates: [String] = []
    ) async throws -> Move {
        let answer = try await nova.ask(
            "resize",
            [
                "uuid": .string(uuid), "dest": .string(host), "flavor": flavor ?? .null,
                "alternates": .array(alternates.map(JSONValue.string)),
            ]
        )
        return Move(
            instance: uuid,
            migration: try #require(answer["migration"]?.intValue),
            uuid: try #require(answer["uuid"]?.stringValue)
        )
    }

    /// Waits until the migration has one of these states, and the instance nothing to do.
    static func settled(_ states: [String], _ move: Move, _ nova: ControlPlane) async throws -> JSONValue {
        var shown: JSONValue = .null
        do {
            try await eventually(timeout: patience, "migration \(states)") {
                shown = try await nova.show(move.instance, migration: move.migration)
                return states.contains(shown["migration"]?.stringValue ?? "") && shown["task_state"]?.isNull == true
                    && (shown["migration"] == "finished") == (shown["vm_state"] == "resized")
            }
        } catch {
            throw ControlPlane.Raised(className: "NotReached", text: "\(error): \(shown)", code: nil)
        }
        return shown
    }

    static func flavors(_ nova: ControlPlane, _ uuid: String) async throws -> JSONValue {
        try await nova.ask("flavors", ["uuid": .string(uuid)])
    }

    // MARK: - Confirmed

    @Test(arguments: await NovaRelease.available())
    func resizesAndMigrationsAreConfirmed(release: NovaRelease) async throws {
        try await Self.run(release) { nova, cloud in
            let uuid = try await Self.boot(nova, cloud)
            try await Self.refused(nova, cloud, uuid)
            // On the same host, and to another.
            for (host, flavor) in [("host-a", Self.larger), ("host-b", nil)] as [(String, JSONValue?)] {
                let move = try await Self.move(nova, uuid, to: host, flavor: flavor)
                let shown = try await Self.settled(["finished", "error"], move, nova)
                #expect(shown["vm_state"] == "resized")
                #expect(shown["host"]?.stringValue == host)
                #expect(shown["node"]?.stringValue == host)
                #expect(shown["power_state"] == 1)
                let sizes = try await Self.flavors(nova, uuid)
                #expect(sizes["memory_mb"] == 256)
                #expect(sizes["root_gb"] == 2)
                #expect(sizes["instance_type_id"] == 2)
                #expect(
                    [sizes["flavor"], sizes["old_flavor"], sizes["new_flavor"]] == [
                        "2", flavor == nil ? "2" : "1", "2",
                    ]
                )
                #expect(sizes["old_vm_state"] == "active")
                #expect(sizes["context"]?.intValue == move.migration)
                #expect(try await cloud.state("port").first?.value["binding:host_id"]?.stringValue == host)
                // The share that the migration holds goes with it.
                try await cloud.put("allocation", move.uuid, try #require(try await cloud.state("allocation")[uuid]))
                try await nova.ask("confirm", ["uuid": .string(uuid), "migration": .int(move.migration)])
                #expect(try await Self.settled(["confirmed"], move, nova)["vm_state"] == "active")
                try await eventually(timeout: Self.patience, "the migration's share is free") {
                    try await cloud.state("allocation").map(\.key) == [uuid]
                }
                let after = try await Self.flavors(nova, uuid)
                #expect(after["flavor"] == "2")
                #expect(after["old_flavor"]?.isNull == true)
                #expect(after["old_vm_state"]?.isNull == true)
                #expect(after["context"]?.isNull == true)
            }
            try await nova.waitForConsole(uuid)
            try await CloudTests.delete(nova, uuid)
            #expect(try await cloud.state("port").isEmpty)
        }
    }

    private static func refused(_ nova: ControlPlane, _ cloud: CloudServer, _ uuid: String) async throws {
        let share = try await cloud.state("allocation")[uuid]
        for (host, flavor, reason) in [
            ("host-b", ["memory_mb": 128, "vcpus": 1, "root_gb": 0], "disk"),
            ("host-a", nil, "Unable to migrate instance"),
        ] as [(String, JSONValue?, String)] {
            let move = try await Self.move(nova, uuid, to: host, flavor: flavor)
            let shown = try await settled(["finished", "error"], move, nova)
            #expect(shown["migration"] == "error")
            #expect(shown["vm_state"] == "active")
            #expect(shown["host"] == "host-a")
            try await eventually(timeout: patience, "the fault") {
                let faults = try await nova.show(uuid)["faults"]?.arrayValue ?? []
                return faults.contains { $0["message"]?.stringValue?.contains(reason) == true }
            }
            let sizes = try await flavors(nova, uuid)
            #expect(sizes["flavor"] == "1")
            #expect(sizes["new_flavor"]?.isNull == true)
            #expect(sizes["context"]?.isNull == true)
        }
        #expect(try await cloud.state("allocation")[uuid] == share)
    }

    // MARK: - Reverted

    @Test func resizesAndMigrationsAreReverted() async throws {
        try await Self.run { nova, cloud in
            let uuid = try await Self.boot(nova, cloud)
            // One that is off stays off.
            for (host, isRunning) in [("host-b", true), ("host-a", false)] {
                if !isRunning {
                    try await nova.ask("begin", ["uuid": .string(uuid), "task_state": "powering-off"])
                    try await nova.compute("stop_instance", uuid, ["clean_shutdown": false])
                    try await nova.wait(uuid, "stopped")
                }
                let flavor = host == "host-a" ? Self.larger : nil
                let move = try await Self.move(nova, uuid, to: host, flavor: flavor)
                let resized = try await Self.settled(["finished", "error"], move, nova)
                #expect(resized["vm_state"] == "resized")
                #expect(resized["power_state"] == (isRunning ? 1 : 4))
                #expect(try await Self.flavors(nova, uuid)["old_vm_state"] == (isRunning ? "active" : "stopped"))
                // As the conductor leaves it: the old share is the migration's.
                try await cloud.put("allocation", move.uuid, try #require(try await cloud.state("allocation")[uuid]))
                try await nova.ask("revert", ["uuid": .string(uuid), "migration": .int(move.migration)])
                let shown = try await Self.settled(["reverted"], move, nova)
                #expect(shown["vm_state"] == (isRunning ? "active" : "stopped"))
                #expect(shown["host"] == "host-a")
                #expect(shown["node"] == "host-a")
                #expect(shown["power_state"] == (isRunning ? 1 : 4))
                #expect(shown["faults"] == .array([]))
                let sizes = try await Self.flavors(nova, uuid)
                #expect(sizes["memory_mb"] == 128)
                #expect(sizes["flavor"] == "1")
                #expect(sizes["old_flavor"]?.isNull == true)
                #expect(sizes["context"]?.isNull == true)
                #expect(try await cloud.state("allocation").map(\.key) == [uuid])
                #expect(try await cloud.state("port").first?.value["binding:host_id"] == "host-a")
            }
            try await CloudTests.delete(nova, uuid)
        }
    }

    /// The network service takes its time to bind the port back.
    @Test func aGuestThatGoesBackIsStartedWhenItsPortsAreBound() async throws {
        try await Self.run { nova, cloud in
            let uuid = try await Self.boot(nova, cloud)
            let move = try await Self.move(nova, uuid, to: "host-b")
            _ = try await Self.settled(["finished"], move, nova)
            let before = try await cloud.count("PUT", "/network/v2.0/ports")
            try await cloud.fail("PUT", "/network/v2.0/ports", status: -1)
            try await nova.ask("revert", ["uuid": .string(uuid), "migration": .int(move.migration)])
            try await eventually(timeout: Self.patience, "the port is to be bound") {
                try await cloud.count("PUT", "/network/v2.0/ports") > before
            }
            for host in ["host-a", "host-b"] { #expect(try await Self.absence(nova, uuid, at: host) != nil) }
            try await cloud.tell("release")
            let shown = try await Self.settled(["reverted"], move, nova)
            #expect(shown["vm_state"] == "active" && shown["host"] == "host-a" && shown["power_state"] == 1)
            #expect(shown["faults"] == .array([]))
            #expect(try await cloud.state("port").first?.value["binding:host_id"] == "host-a")
        }
    }

    // MARK: - Real guests

    private static let real = [
        "DEFAULT": ["backend": "qemu", "resume_guests_state_on_host_boot": "false"],
        "qemu": ["acceleration": "tcg", "machine_type": "pc", "disk_bus": "ide", "network": "user"],
    ]

    @Test(.enabled(if: QEMUProgram.isInstalled, "\(QEMUProgram.missing)"))
    func realGuestsGrowAndGoBack() async throws {
        try await ControlPlane.run(conductor: true, options: Self.real) { nova in
            let size = 1 << 20
            try TickGuest.writeDisk(nova.daemon.statePath + "/images/" + ControlPlane.imageID, size: size)
            var image = ControlPlane.image.objectValue ?? [:]
            image["size"] = .int(Int64(size))
            image["checksum"] = .null
            let uuid = try await nova.create(on: nil, ["image": .object(image)])
            try await nova.ask("build", ["uuid": .string(uuid), "host": "host-a", "image": .object(image)])
            try await nova.wait(uuid, "active")
            try await Self.printed(nova, uuid, "ram=128 cpus=1", boots: 1)

            // To another host, and back.
            let first = try await Self.move(nova, uuid, to: "host-b", flavor: Self.larger)
            #expect(try await Self.settled(["finished", "error"], first, nova)["host"] == "host-b")
            try await Self.printed(nova, uuid, "ram=256 cpus=2", boots: 2)
            #expect(try Self.rootSize(nova, uuid, on: "host-b") == 2 << 30)
            try await nova.ask("revert", ["uuid": .string(uuid), "migration": .int(first.migration)])
            #expect(try await Self.settled(["reverted"], first, nova)["host"] == "host-a")
            try await Self.printed(nova, uuid, "ram=128 cpus=1", boots: 3)
            #expect(try Self.rootSize(nova, uuid, on: "host-a") == 1 << 30)

            // Where it is, for good.
            let second = try await Self.move(nova, uuid, to: "host-a", flavor: Self.larger)
            #expect(try await Self.settled(["finished", "error"], second, nova)["vm_state"] == "resized")
            try await nova.ask("confirm", ["uuid": .string(uuid), "migration": .int(second.migration)])
            #expect(try await Self.settled(["confirmed"], second, nova)["vm_state"] == "active")
            try await Self.printed(nova, uuid, "ram=256 cpus=2", boots: 4)
            #expect(try Self.rootSize(nova, uuid, on: "host-a") == 2 << 30)
            #expect(try await nova.show(uuid)["faults"] == .array([]))
            try await nova.ask("begin", ["uuid": .string(uuid), "task_state": "deleting"])
            try await nova.compute("terminate_instance", uuid, ["bdms": .array([])])
            try await eventually(timeout: Self.patience, "it is deleted") {
                try await nova.show(uuid)["deleted"] == true
            }
        }
    }

    /// Waits until the guest has come up so often, the last time with that.
    private static func printed(_ nova: ControlPlane, _ uuid: String, _ text: String, boots: Int) async throws {
        try await eventually(timeout: patience, "boot \(boots) with \(text)") {
            let log = try await nova.compute("get_console_output", uuid, ["tail_length": nil])["result"]?.stringValue
            let starts = log?.split(whereSeparator: \.isNewline).filter { $0.contains("tickguest 1 ") } ?? []
            return starts.count == boots && starts.last?.contains(text) == true
        }
    }

    private static func rootSize(_ nova: ControlPlane, _ uuid: String, on host: String) throws -> Int {
        try InstanceDisks.rootSize(in: nova.daemon.statePath + "/\(host)/instances/" + uuid)
    }

    // MARK: - Crashes

    /// The class of what a host answers about a machine; `nil` when it runs there.
    private static func absence(_ nova: ControlPlane, _ uuid: String, at host: String) async throws -> String? {
        do {
            try await nova.ask(
                "compute",
                ["method": "get_diagnostics", "uuid": .string(uuid), "args": .object([:]), "at": .string(host)]
            )
            return nil
        } catch let raised as ControlPlane.Raised {
            return raised.className
        }
    }

    @Test func aCrashNeverLeavesAMoveHalfDone() async throws {
        try await Self.run { nova, cloud in
            let slow: JSONObject = ["metadata": ["sim.delay.create_machine_ms": "4000"]]
            let uuid = try await Self.boot(nova, cloud, slow)
            // Before the source has decided: the machine is off, and the destination makes its own ready.
            let first = try await Self.move(nova, uuid, to: "host-b", flavor: Self.larger)
            try await eventually(timeout: Self.patience, "the machine is off") {
                try await Self.absence(nova, uuid, at: "host-a") != nil
            }
            try await nova.daemon.kill()
            try await nova.daemon.start()
            let shown = try await Self.settled(["finished", "error"], first, nova)
            if shown["migration"] == "error" {
                #expect(shown["vm_state"] == "active")
                #expect(shown["host"] == "host-a")
                #expect(try await Self.flavors(nova, uuid)["new_flavor"]?.isNull == true)
                #expect(try await Self.absence(nova, uuid, at: "host-a") == nil)
            } else {
                // The source was faster than the kill.
                try await nova.ask("revert", ["uuid": .string(uuid), "migration": .int(first.migration)])
                _ = try await Self.settled(["reverted"], first, nova)
            }
            try await eventually(timeout: Self.patience, "it runs again where it was") {
                try await Self.absence(nova, uuid, at: "host-a") == nil
            }
            // When the machine has left, and nobody can be told.
            let second = try await Self.move(nova, uuid, to: "host-b")
            try await eventually(timeout: Self.patience, "the machine is off again") {
                try await Self.absence(nova, uuid, at: "host-a") != nil
            }
            try await nova.ask("conductor", ["serve": false])
            try await eventually(timeout: Self.patience, "it runs at its destination") {
                try await Self.absence(nova, uuid, at: "host-b") == nil
            }
            try await nova.daemon.kill()
            try await nova.ask("conductor", ["serve": true])
            try await nova.daemon.start()
            let there = try await Self.settled(["finished", "error"], second, nova)
            #expect(there["vm_state"] == "resized")
            #expect(there["host"] == "host-b")
            #expect(there["power_state"] == 1)
            // Whatever the ends were at.
            try await nova.ask("revert", ["uuid": .string(uuid), "migration": .int(second.migration)])
            try await nova.daemon.kill()
            try await nova.daemon.start()
            let back = try await Self.settled(["reverted"], second, nova)
            #expect(back["vm_state"] == "active")
            #expect(back["host"] == "host-a")
            let third = try await Self.move(nova, uuid, to: "host-b")
            _ = try await Self.settled(["finished"], third, nova)
            try await nova.ask("confirm", ["uuid": .string(uuid), "migration": .int(third.migration)])
            try await nova.daemon.kill()
            try await nova.daemon.start()
            let end = try await Self.settled(["confirmed"], third, nova)
            #expect(end["vm_state"] == "active")
            #expect(end["host"] == "host-b")
        }
    }

    @Test func aCrashNeverLeavesAResizeOnTheSpotHalfDone() async throws {
        try await Self.run { nova, cloud in
            let slow: JSONObject = ["metadata": ["sim.delay.create_machine_ms": "2500"]]
            let uuid = try await Self.boot(nova, cloud, slow)
            func isOff() async throws {
                try await eventually(timeout: Self.patience, "the machine is off") {
                    try await Self.absence(nova, uuid, at: "host-a") != nil
                }
            }
            func runs() async throws {
                try await eventually(timeout: Self.patience, "the machine runs") {
                    try await Self.absence(nova, uuid, at: "host-a") == nil
                }
            }
            // The new machine is being made.
            let first = try await Self.move(nova, uuid, to: "host-a", flavor: Self.larger)
            try await isOff()
            try await nova.daemon.kill()
            try await nova.daemon.start()
            let shown = try await Self.settled(["finished", "error"], first, nova)
            if shown["migration"] == "finished" {
                // It was faster than the kill.
                try await nova.ask("revert", ["uuid": .string(uuid), "migration": .int(first.migration)])
                _ = try await Self.settled(["reverted"], first, nova)
            }
            try await runs()
            #expect(try await nova.show(uuid)["vm_state"] == "active")
            let former = try await Self.flavors(nova, uuid)
            #expect(former["memory_mb"] == 128 && former["flavor"] == "1" && former["new_flavor"]?.isNull == true)
            // It is made, and nobody can be told.
            let second = try await Self.move(nova, uuid, to: "host-a", flavor: Self.larger)
            try await isOff()
            try await nova.ask("conductor", ["serve": false])
            try await runs()
            try await nova.daemon.kill()
            try await nova.ask("conductor", ["serve": true])
            try await nova.daemon.start()
            let resized = try await Self.settled(["finished", "error"], second, nova)
            #expect(resized["vm_state"] == "resized" && resized["host"] == "host-a" && resized["power_state"] == 1)
            #expect(try await Self.flavors(nova, uuid)["memory_mb"] == 256)
            // Whatever the ends were at.
            try await nova.ask("revert", ["uuid": .string(uuid), "migration": .int(second.migration)])
            try await nova.daemon.kill()
            try await nova.daemon.start()
            #expect(try await Self.settled(["reverted"], second, nova)["vm_state"] == "active")
            #expect(try await Self.flavors(nova, uuid)["memory_mb"] == 128)
            let third = try await Self.move(nova, uuid, to: "host-a", flavor: Self.larger)
            _ = try await Self.settled(["finished"], third, nova)
            try await nova.ask("confirm", ["uuid": .string(uuid), "migration": .int(third.migration)])
            try await nova.daemon.kill()
            try await nova.daemon.start()
            #expect(try await Self.settled(["confirmed"], third, nova)["vm_state"] == "active")
            let latter = try await Self.flavors(nova, uuid)
            #expect(latter["memory_mb"] == 256 && latter["flavor"] == "2" && latter["old_flavor"]?.isNull == true)
            try await runs()
        }
    }
}
