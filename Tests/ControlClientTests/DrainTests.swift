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
        let hosts = FakeHosts(["host-a", "host-b", "host-c"]) { request in
            let host = request.host ?? "-"
            switch request.method {
            case "ping":
                return ["host": .string(host), "instances": .int(host == "host-a" ? 4 : 0)]
            case "list_instance_infos":
                return .array([
                    Self.instance(0), Self.instance(1), Self.instance(2), Self.instance(3, "host-a", "off"),
                ])
            case "get_info":
                return ["uuid": request.args["instance"]?["uuid"] ?? .null, "name": "vm", "host": "host-a"]
            case "live_migration":
                let destination = request.args["dest"]?.stringValue ?? "-"
                guard destination == "host-c" else {
                    throw RemoteFailure(className: "MigrationPreCheckError", module: "nova.exception", message: "full")
                }
                return Self.instance(0, destination)
            default:
                throw notFound
            }
        }
        let (lines, result) = try await Self.drain(hosts, "host-a")
        #expect(result == DrainResult(moved: 3, left: 1))
        #expect(lines.contains("left vm-3: it is off"))
        #expect(lines.contains { $0.hasPrefix("failed") && $0.contains("full") })
        #expect(lines.filter { $0.hasPrefix("moved") }.count == 3)
        let asked = hosts.requests.filter { $0.method == "live_migration" }
        #expect(asked.allSatisfy { $0.host == "host-a" })
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
