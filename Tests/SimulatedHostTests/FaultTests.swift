import HostBackend
import HostConformance
import SimulatedHost
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(5))) struct FaultTests {
    private func codes(_ count: Int, _ body: () async throws -> Void) async -> [BackendError.Code?] {
        var codes: [BackendError.Code?] = []
        for _ in 1...count { codes.append(await code(body)) }
        return codes
    }

    @Test func rulesCountCalls() async throws {
        try await withBench { bench in
            let host = try await bench.host { settings in
                settings.plan.faults[.hostInfo] = try FaultRule.parse("nth:2 internal, nth:4 timeout")
                settings.plan.faults[.machines] = try FaultRule.parse("every:2 unavailable")
                settings.plan.faults[.probe] = try FaultRule.parse("first:2 busy")
                settings.plan.faults[.image] = try FaultRule.parse("always not_found")
            }
            #expect(await codes(5) { _ = try await host.hostInfo() } == [nil, .internal, nil, .timeout, nil])
            #expect(await codes(4) { _ = try await host.machines() } == [nil, .unavailable, nil, .unavailable])
            #expect(await codes(3) { try await host.probe() } == [.busy, .busy, nil])
            #expect(await codes(2) { _ = try await host.image("x") } == [.notFound, .notFound])
            await host.disconnect()
        }
    }

    @Test(arguments: [
        "", "always", "sometimes internal", "nth:0 internal", "nth:x internal", "always nonsense",
        "always internal before", "nth:1 internal after more",
    ])
    func badRulesAreRefused(text: String) {
        if text.isEmpty {
            #expect((try? FaultRule.parse(text)) == [])
        } else {
            #expect(throws: BackendError.self) { try FaultRule.parse(text) }
        }
    }

    @Test(arguments: BackendError.Code.allCases)
    func everyCodeCanBeAskedFor(code wanted: BackendError.Code) async throws {
        try await withBench { bench in
            let host = try await bench.host {
                $0.plan.faults[.probe] = try FaultRule.parse("always \(wanted.rawValue)")
            }
            #expect(await code { try await host.probe() } == wanted)
            await host.disconnect()
        }
    }

    @Test func aFaultAfterwardsLosesTheAnswerOnly() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (spec, _) = try await bench.running(on: host, ["sim.fault.setState": "nth:2 timeout after"])
            #expect(await code { _ = try await host.setState(spec.uuid, .off, deadline: .seconds(5)) } == .timeout)
            #expect(try await host.machine(spec.uuid).state == .off)
            await host.disconnect()
        }
    }

    @Test func metadataConcernOneMachine() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let bad = bench.spec("bad", ["sim.fault.set_state": "always internal"])
            let good = bench.spec("good")
            try await host.createMachine(bad)
            try await host.createMachine(good)
            #expect(await code { _ = try await host.setState(bad.uuid, .running, deadline: .seconds(5)) } == .internal)
            #expect(await code { _ = try await host.setState(good.uuid, .running, deadline: .seconds(5)) } == nil)
            await host.disconnect()
        }
    }

    @Test func aRequestBringsFaultsForPrimitivesWithoutAMachine() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let request = RequestContext(uuid: newUUID(), metadata: ["sim.fault.createDisk": "nth:2 internal"])
            func make(_ name: String) async -> BackendError.Code? {
                await code {
                    let path = bench.directory + "/" + name
                    _ = try await host.createDisk(
                        DiskRequest(path: path, format: "raw", source: .blank, virtualSize: 512)
                    )
                }
            }
            await RequestContext.$current.withValue(request) {
                #expect(await make("a") == nil)
                #expect(await make("b") == .internal)
            }
            #expect(await make("c") == nil)
            await host.disconnect()
        }
    }

    @Test func delaysRunByTheClockAndEndAtTheDeadline() async throws {
        try await withBench { bench in
            let host = try await bench.host { $0.plan.delays[.setState] = .seconds(10) }
            let spec = bench.spec()
            try await host.createMachine(spec)
            async let slow = host.setState(spec.uuid, .running, deadline: .seconds(60))
            await bench.world.untilSleeping()
            bench.world.advance(by: .seconds(9))
            #expect(try await host.machine(spec.uuid).state == .off)
            bench.world.advance(by: .seconds(1))
            #expect(try await slow == .running)
            async let late = code { _ = try await host.setState(spec.uuid, .off, deadline: .seconds(5)) }
            await bench.world.untilSleeping()
            bench.world.advance(by: .seconds(5))
            #expect(await late == .timeout)
            #expect(try await host.machine(spec.uuid).state == .running)
            await host.disconnect()
        }
    }

    @Test func whatHangsCanBeCancelled() async throws {
        try await withBench { bench in
            let host = try await bench.host { $0.plan.faults[.probe] = try FaultRule.parse("always hang") }
            // Cancelled and awaited right below.
            let task = Task { await code { try await host.probe() } }
            await bench.world.untilSleeping()
            task.cancel()
            #expect(await task.value == .cancelled)
            await host.disconnect()
        }
    }

    @Test func theHookSeesEveryPrimitive() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let seen = Seen()
            bench.world.setHook { host, primitive, uuid in seen.add(host, primitive, uuid) }
            let spec = bench.spec()
            try await host.createMachine(spec)
            _ = try await host.machine(spec.uuid)
            #expect(seen.primitives == [.createMachine, .machine])
            bench.world.setHook { _, _, _ in throw BackendError(.conflict, "hook") }
            #expect(await code { _ = try await host.machine(spec.uuid) } == .conflict)
            await host.disconnect()
        }
    }

    private final class Seen: Sendable {
        private let list = Mutex<[Primitive]>([])
        var primitives: [Primitive] { list.withLock { $0 } }
        func add(_: String, _ primitive: Primitive, _: InstanceUUID?) { list.withLock { $0.append(primitive) } }
    }

    @Test func optionsAreSetByTheirNames() throws {
        var settings = SimulatedSettings()
        let options = [
            ("boot_lines", "7"), ("lines_per_second", "2.5"), ("shutdown_ms", "30"), ("ignore_shutdown", "true"),
            ("console_mode", "flood"), ("vcpus", "8"), ("memory_mb", "1024"), ("disk_gb", "10"),
            ("migration_ms", "20"), ("images_path", "/images"), ("shared_storage", "true"),
            ("foreign_machines", "a, b"), ("delay_create_disk_ms", "250"), ("fault_migrate_precopy", "nth:1 internal"),
        ]
        for (name, value) in options { #expect(try settings.set(option: name, value) == true, "\(name)") }
        #expect(settings.guest.bootLines == 7)
        #expect(settings.guest.linesPerSecond == 2.5)
        #expect(settings.guest.shutdown == .ignores)
        #expect(settings.guest.consoleMode == .flood)
        #expect(settings.memoryMB == 1024)
        #expect(settings.sharedStorage == true)
        #expect(settings.foreignMachines == ["a", "b"])
        #expect(settings.plan.delays[.createDisk] == .milliseconds(250))
        #expect(settings.plan.faults[.migratePrecopy]?.count == 1)
        #expect(try settings.set(option: "no_such_option", "1") == false)
        #expect(throws: BackendError.self) { try settings.set(option: "vcpus", "none") }
        #expect(throws: BackendError.self) { try settings.set(option: "fault_probe", "whenever") }
        for primitive in Primitive.allCases { #expect(Primitive(name: primitive.optionName) == primitive) }
    }
}
