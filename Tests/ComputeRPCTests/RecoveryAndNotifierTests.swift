import HostBackend
import OsloMessaging
import Support
import Synchronization
import TestSupport
import Testing
import VMOps

@testable import ComputeRPC

@Suite(.timeLimit(.minutes(5))) struct OperationRecoveryTests {
    private func decision(_ driver: TestDriver, _ method: String, _ instance: JSONValue) async -> String {
        let request = RPCRequest(method: method, args: ["instance": instance, "dest": "host-b"], uniqueID: "u")
        switch await OperationRecovery(operations: driver.operations).decide(request) {
        case .run: return "run"
        case .finished: return "finished"
        case .failed(let failure): return failure.className
        }
    }

    @Test func whatMayHaveHappenedIsNotDoneTwice() async throws {
        try await TestDriver.with { driver in
            let running = JSONValue.object(try await driver.spawn())
            let off = JSONValue.object(try await driver.spawn(["name": "two"], ["power_on": false]))
            let unknown = JSONValue.object(TestDriver.instance())
            #expect(await decision(driver, "reboot", running) == "finished")
            #expect(await decision(driver, "reboot", off) == "run")
            #expect(await decision(driver, "reboot", unknown) == "run")
            #expect(await decision(driver, "live_migration", running) == "run")
            #expect(await decision(driver, "live_migration", unknown) == "InstanceNotFound")
            for method in ["spawn", "destroy", "power_on", "power_off", "pause", "suspend", "snapshot"] {
                #expect(await decision(driver, method, unknown) == "run")
            }
            #expect(await decision(driver, "reboot", 5) == "run")
        }
    }
}

@Suite struct ComputeNotifierTests {
    private func published(
        _ body: (ComputeNotifier, InstanceRecord) -> Void
    ) throws -> (Notification.Priority, String, JSONValue, JSONObject) {
        let box = Mutex<[(Notification.Priority, String, JSONValue, JSONObject)]>([])
        let notifier = ComputeNotifier(host: "host-a") { priority, type, payload, context in
            box.withLock { $0.append((priority, type, payload, context)) }
        }
        let uuid = try #require(InstanceUUID("6b1e0f9c-0a6e-4a53-9ae5-5b0ff4f8a9c1"))
        body(
            notifier,
            InstanceRecord(uuid: uuid, name: "vm", memoryMB: 64, vcpus: 2, rootGB: 0, state: .running, createdAt: 0)
        )
        return try #require(box.withLock { $0 }.first)
    }

    @Test(arguments: [
        ("spawn", "create"), ("destroy", "delete"), ("attach_volume", "volume_attach"),
        ("detach_volume", "volume_detach"), ("attach_interface", "interface_attach"),
        ("detach_interface", "interface_detach"), ("power_on", "power_on"), ("live_migration", "live_migration"),
    ])
    func operationsHaveNovasNames(_ operation: String, _ name: String) throws {
        let context = OperationContext(requestID: "req-1", caller: ["user": "u"])
        let start = try published { $0.operationStarted(operation, $1, context: context) }
        #expect(start.0 == .info && start.1 == "instance.\(name).start")
        #expect(start.2["request_id"] == "req-1" && start.2["power_state"] == 1 && start.2["host"] == "host-a")
        #expect(start.3 == ["user": "u"])
        let end = try published { $0.operationEnded(operation, $1, context: context, error: nil) }
        #expect(end.0 == .info && end.1 == "instance.\(name).end")
        let error = try published {
            $0.operationEnded(operation, $1, context: context, error: .notFound("x"))
        }
        #expect(error.0 == .error && error.1 == "instance.\(name).error")
        #expect(error.2["fault"]?["exception"] == "InstanceNotFound")
        #expect(error.2["fault"]?["module_name"] == "nova.exception")
    }

    @Test func aChangeByItselfIsAnUpdate() throws {
        let update = try published { notifier, record in
            notifier.machineChanged(
                MachineEvent(sequence: 1, uuid: record.uuid, incarnation: 1, kind: .crashed),
                record
            )
        }
        #expect(update.1 == "instance.update" && update.2["state"] == "running")
    }
}

@Suite struct ErrorMappingTests {
    @Test func errorsCarryClassModuleAndKeywords() {
        let failure = RemoteFailure(OperationError.exists("vm"))
        #expect(failure.className == "InstanceExists" && failure.module == "nova.exception")
        #expect(failure.message == "Instance vm already exists." && failure.args == ["Instance vm already exists."])
        #expect(failure.kwargs == ["name": "vm", "code": 500])
        let builtin = RemoteFailure(OperationError.notImplemented("not here"))
        #expect(builtin.className == "NotImplementedError" && builtin.module == "builtins")
        #expect(builtin.kwargs == [:])
        let other = RemoteFailure.from(CancellationError())
        #expect(other.className == "NovaException")
        let passedOn = RemoteFailure.from(RemoteFailure(className: "X", module: "y", message: "z"))
        #expect(passedOn.className == "X")
    }

    @Test(arguments: [
        (59, "0 min"), (60, "1 min"), (3600, "1:00"), (90_000, "1 day, 1:00"), (2 * 86_400, "2 days, 0 min"),
        (2 * 86_400 + 11 * 3600 + 62, "2 days, 11:01"),
    ])
    func uptimesReadLikeTheCommands(_ seconds: Int, _ text: String) {
        #expect(HostUptime.duration(seconds) == text)
    }
}
