import OsloMessaging
import Support
import Synchronization
import Testing

@testable import ControlClient

@Suite(.timeLimit(.minutes(5))) struct DrainTests {
    private static func instance(_ number: Int, _ host: String = "host-a", _ state: String = "running") -> JSONValue {
        let digits = String(number)
        let padded = String(repeating: "0", count: 12 - digits.count) + digits
        return [
            "uuid": .string("6d88d4de-e636-42c1-a132-" + padded), "name": .string("vm-\(number)"),
            "host": .string(host), "state": .string(state),
        ]
    }

    private static func plan(_ count: Int, _ destinations: [String: Int], parallel: Int = 2) throws -> DrainPlan {
        DrainPlan(try (0..<count).map { try Instance(instance($0)) }, destinations: destinations, parallel: parallel)
    }

    private static func next(_ plan: inout DrainPlan) -> DrainPlan.Move? { plan.next() }

    @Test func noMoreThanAllowedAreOnTheirWay() throws {
        var plan = try Self.plan(3, ["host-b": 0], parallel: 2)
        let taken = plan.next()
        let first = try #require(taken)
        #expect(Self.next(&plan) != nil)
        #expect(Self.next(&plan) == nil)
        plan.succeeded(first)
        let third = plan.next()
        #expect(third?.instance.name == "vm-2")
        #expect(plan.moved == 1)
        #expect(!plan.isOver)
    }

    @Test func theEmptiestHostIsChosenWithThoseOnTheirWayCounted() throws {
        var plan = try Self.plan(4, ["host-b": 2, "host-c": 0], parallel: 4)
        var chosen: [String] = []
        while let move = plan.next() { chosen.append(move.destination) }
        #expect(chosen == ["host-c", "host-c", "host-b", "host-c"])
    }

    @Test func whatOneHostRefusesGoesToAnotherAndStaysWhenAllRefuse() throws {
        var plan = try Self.plan(1, ["host-b": 0, "host-c": 0])
        let taken = plan.next()
        let first = try #require(taken)
        #expect(first.destination == "host-b")
        let goesOn = plan.failed(first)
        #expect(goesOn)
        let again = plan.next()
        let second = try #require(again)
        #expect(second.destination == "host-c")
        let ends = plan.failed(second)
        #expect(!ends)
        #expect(Self.next(&plan) == nil)
        #expect(plan.isOver)
    }

    @Test func aHostIsEmptiedAndWhatCannotMoveIsNamed() async throws {
        let states = ["running", "running", "paused", "off", "suspended", "error", "unconfirmed"]
        let present = states.enumerated().map { number, state -> JSONValue in
            guard state == "unconfirmed" else { return Self.instance(number, "host-a", state) }
            guard case .object(var info) = Self.instance(number) else { return .null }
            info["resize"] = .string(state)
            return .object(info)
        }
        let hosts = FakeHosts(["host-a", "host-b", "host-c"]) { request in
            let host = request.host ?? "-"
            let wanted = request.args["instance"]?["uuid"]
            let instance = present.first { $0["uuid"] == wanted } ?? .null
            switch request.method {
            case "ping":
                return ["host": .string(host), "instances": .int(host == "host-a" ? 7 : 0)]
            case "list_instance_infos":
                return .array(present)
            case "get_info":
                return instance
            case "live_migration", "resize_instance":
                let destination = request.args["dest"]?.stringValue ?? "-"
                guard destination == "host-c" else {
                    throw RemoteFailure(className: "MigrationPreCheckError", module: "nova.exception", message: "full")
                }
                return Self.instance(0, destination, instance["state"]?.stringValue ?? "-")
            case "confirm_resize":
                return Self.instance(0, host, "off")
            default:
                throw notFound
            }
        }
        let (lines, result) = try await Self.drain(hosts, "host-a")
        #expect(result.moved == 4)
        #expect(result.left.map(\.instance.name) == ["vm-4", "vm-5", "vm-6"])
        #expect(lines.contains { $0.hasPrefix("left vm-4: it is suspended: resume it first") })
        #expect(lines.contains { $0.hasPrefix("left vm-5: it is in state error: ") && $0.contains("power it off") })
        #expect(lines.contains { $0.hasPrefix("left vm-6:") && $0.contains("confirm or revert") })
        #expect(lines.contains { $0.hasPrefix("failed") && $0.contains("full") })
        #expect(lines.filter { $0.hasPrefix("moved") }.count == 4)
        let live = hosts.requests.filter { $0.method == "live_migration" }
        #expect(live.allSatisfy { $0.host == "host-a" })
        #expect(Set(live.compactMap { $0.args["instance"]?["name"]?.stringValue }) == ["vm-0", "vm-1", "vm-2"])
        let cold = hosts.requests.filter { $0.method == "resize_instance" }
        #expect(cold.allSatisfy { $0.host == "host-a" && $0.args["instance"]?["name"] == "vm-3" })
        #expect(hosts.requests.filter { $0.method == "confirm_resize" }.map(\.host) == ["host-c"])
    }

    /// What is off when it is listed may run when its turn comes, and is not turned off for the move.
    @Test func theStateThatCountsIsTheOneAtTheTime() async throws {
        let hosts = FakeHosts(["host-a", "host-b"]) { request in
            switch request.method {
            case "ping": return ["host": .string(request.host ?? "-"), "instances": .int(0)]
            case "list_instance_infos":
                return .array([Self.instance(0, "host-a", "off"), Self.instance(1)])
            case "get_info":
                let isFirst = request.args["instance"]?["uuid"] == Self.instance(0)["uuid"]
                return isFirst ? Self.instance(0) : Self.instance(1, "host-a", "suspended")
            case "live_migration": return Self.instance(0, "host-b")
            default: throw notFound
            }
        }
        let (_, result) = try await Self.drain(hosts, "host-a")
        #expect(result.moved == 1)
        #expect(result.left.map { $0.reason.prefix(15) } == ["it is suspended"])
        #expect(!hosts.requests.contains { $0.method == "resize_instance" })
    }

    /// It is where it was to go, and its old host keeps its disks: no success, and no other host would do better.
    @Test func aMoveThatCannotBeConfirmedIsNamed() async throws {
        let hosts = FakeHosts(["host-a", "host-b", "host-c"]) { request in
            switch request.method {
            case "ping": return ["host": .string(request.host ?? "-"), "instances": .int(0)]
            case "list_instance_infos": return .array([Self.instance(0, "host-a", "off")])
            case "get_info": return Self.instance(0, "host-a", "off")
            case "resize_instance": return Self.instance(0, request.args["dest"]?.stringValue ?? "-", "off")
            case "confirm_resize":
                throw RemoteFailure(className: "NovaException", module: "nova.exception", message: "not now")
            default: throw notFound
            }
        }
        let (lines, result) = try await Self.drain(hosts, "host-a")
        #expect(result.moved == 0)
        #expect(result.left.first?.reason.contains("could not be confirmed") == true)
        #expect(lines.contains { $0.hasPrefix("failed vm-0") && $0.hasSuffix("true") })
        #expect(hosts.requests.filter { $0.method == "resize_instance" }.count == 1)
    }

    @Test func aHostThatDoesNotAnswerIsNotDrained() async throws {
        let hosts = FakeHosts(["host-b"]) { ["host": .string($0.host ?? "-")] }
        let error = await #expect(throws: ControlError.self) { try await Self.drain(hosts, "host-a") }
        #expect(error?.code == .noAnswer)
        let alone = FakeHosts(["host-a"]) { ["host": .string($0.host ?? "-")] }
        let usage = await #expect(throws: ControlError.self) { try await Self.drain(alone, "host-a") }
        #expect(usage?.code == .usage)
    }

    @discardableResult
    private static func drain(_ hosts: FakeHosts, _ source: String) async throws -> ([String], DrainResult) {
        let lines = Mutex<[String]>([])
        let result = try await hosts.client().drain(source, to: [], parallel: 2) { event in
            lines.withLock { lines in
                switch event {
                case .started(let move): lines.append("started \(move.instance.name)")
                case .progress: break
                case .moved(_, let done, let total): lines.append("moved \(done) of \(total)")
                case .failed(let move, let reason, let isFinal):
                    lines.append("failed \(move.instance.name) \(reason) \(isFinal)")
                case .left(let instance, let reason): lines.append("left \(instance.name): \(reason)")
                }
            }
        }
        return (lines.withLock { $0 }, result)
    }
}
