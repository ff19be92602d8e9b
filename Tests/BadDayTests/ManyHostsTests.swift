import DaemonBench
import Foundation
import OsloMessaging
import RPCClient
import Support
import TestSupport
import Testing

/// Many hosts over several processes on one broker: machines spawned by fan-out, on the topic and on each host's own
/// queue, each there exactly once, and nothing left of them. Long form: a thousand hosts, ten thousand machines;
/// `docs/scale.md` has its figures.
@Suite(.enabled(if: PrivateBroker.isAvailable), .timeLimit(.minutes(60)), .serialized)
struct ManyHostsTests {
    private static let workers = 4
    private static let hostsPerWorker = TestForm.number("VMOPS_TEST_HOSTS", short: 40, long: 1000) / workers
    private static let machinesPerHost = 10

    @Test func everyHostAnswersAndEveryMachineIsThereOnce() async throws {
        try await PrivateBroker.run { broker in
            var settings = Fleet.Settings(url: broker.url, clientURLs: [broker.url])
            settings.workers = Self.workers
            settings.hostsPerWorker = Self.hostsPerWorker
            settings.options = ["simulated": ["boot_lines": "3"]]
            let report = FleetReport(broker)
            try await report.measured("broker, nobody connected", nil)
            let start = ContinuousClock.now
            try await Fleet.run(settings) { fleet in
                let hosts = fleet.allHosts.count
                try await everywhere(fleet.workers) { try await $0.waitForLog(" serving", timeout: .seconds(600)) }
                report.took("start until all \(hosts) hosts consume", .now - start)
                try await fleet.untilAllAnswer()
                report.took("start until all have answered a fan-out", .now - start)
                try await report.measured("all hosts serve, no machine", fleet)
                try await Self.checkBroker(broker, hosts)
                for _ in 0..<5 {
                    try await report.timing("fan-out ping, \(hosts) answers", count: hosts) {
                        let answers = try await fleet.ask("ping")
                        #expect(answers.count == hosts)
                    }
                }
                let placed = try await Self.spawn(fleet, report)
                try await report.measured("\(placed.count) machines run", fleet)
                try await report.timing("fan-out list, \(hosts) answers", count: hosts) {
                    let answers = try await fleet.ask("list_instance_uuids")
                    #expect(answers.count == hosts)
                }
                try await Self.destroy(fleet, placed, report)
                try await report.measured("all machines destroyed", fleet)
                try await fleet.terminate()
                try fleet.checkNothingIsLeft()
                let requests = Self.requests(hosts)
                #expect(try await fleet.checkJournals() == requests)
                report.print(build: Fleet.build)
            }
        }
    }

    /// Half of the machines by fan-out, a tenth on the topic, the others on their host's queue.
    private static func counts(_ hosts: Int) -> (fanouts: Int, topic: Int, server: Int) {
        let fanouts = machinesPerHost / 2
        return (fanouts, hosts, hosts * (machinesPerHost - fanouts - 1))
    }

    /// As many as there are ids in the journals at the end: a fan-out counts at every host, and what is destroyed is
    /// asked for as it was spawned, but for the topic's, whose place is known by then.
    private static func requests(_ hosts: Int) -> Int {
        let counts = counts(hosts)
        return 2 * (counts.fanouts * hosts + counts.topic + counts.server)
    }

    /// Four queues of each host, two of each topic, replies; two connections of each worker and of the client.
    private static func checkBroker(_ broker: PrivateBroker, _ hosts: Int) async throws {
        let figures = try await BrokerFigures(broker)
        #expect(figures.queues == 4 * hosts + 2 + 1, "\(figures)")
        #expect(figures.connections == 2 * workers + 2, "\(figures)")
        #expect(figures.consumers == 6 * hosts + 1, "\(figures)")
    }

    private static func spawn(_ fleet: Fleet, _ report: FleetReport) async throws -> Set<Placement> {
        let hosts = fleet.allHosts
        let counts = counts(hosts.count)
        let everywhereElse = (0..<counts.fanouts).map { TestInstance("fanout-\($0)") }
        var total = 0
        func wave(_ name: String, _ count: Int, _ send: () async throws -> Void) async throws {
            total += count
            let expected = total
            try await report.timing("spawn by \(name)", count: count, fleet) {
                try await send()
                report.took("of this, until the broker had them", .now - report.phaseStart)
                try await fleet.untilSettled(instances: expected)
            }
        }
        try await wave("\(counts.fanouts) fan-outs", counts.fanouts * hosts.count) {
            for instance in everywhereElse {
                try await fleet.client.fanout(Fleet.target(nil), "spawn", ["instance": instance.description])
            }
        }
        let own = (0..<counts.server).map { TestInstance("own-\($0)", on: hosts[$0 % hosts.count]) }
        try await wave("casts to one host each", own.count) {
            try await everywhere(own) { instance in
                let target = Fleet.target(instance.host)
                try await fleet.client.cast(target, "spawn", ["instance": instance.description], mandatory: true)
            }
        }
        let topic = (0..<counts.topic).map { TestInstance("topic-\($0)") }
        try await wave("casts to any host", topic.count) {
            try await everywhere(topic) { instance in
                let target = Fleet.target(nil)
                try await fleet.client.cast(target, "spawn", ["instance": instance.description], mandatory: true)
            }
        }
        let placed = try fleet.machines()
        try await check(fleet, placed, report)
        for instance in everywhereElse {
            #expect(placed.count { $0.uuid == instance.uuid } == hosts.count, "\(instance.name)")
        }
        let expected = Set(own.map { Placement(host: $0.host, uuid: $0.uuid) })
        #expect(expected.isSubset(of: placed))
        for instance in topic {
            #expect(placed.count { $0.uuid == instance.uuid } == 1, "\(instance.name)")
        }
        #expect(placed.count == total)
        return placed
    }

    /// What the hosts tell is what their files tell.
    private static func check(_ fleet: Fleet, _ placed: Set<Placement>, _ report: FleetReport) async throws {
        var inventory: [(place: Placement, state: String)] = []
        try await report.timing("fan-out list with every machine", count: fleet.allHosts.count) {
            inventory = try await fleet.inventory()
        }
        #expect(inventory.allSatisfy { $0.state == "running" })
        #expect(inventory.count == placed.count)
        #expect(Set(inventory.map(\.place)) == placed)
    }

    /// As they came: by fan-out what is everywhere, by casts to their hosts the others.
    private static func destroy(_ fleet: Fleet, _ placed: Set<Placement>, _ report: FleetReport) async throws {
        let places = Dictionary(grouping: placed, by: \.uuid)
        let everywhereElse = places.filter { $0.value.count > 1 }.keys.sorted()
        let single = placed.filter { places[$0.uuid]?.count == 1 }
        try await report.timing("destroy by fan-outs and casts", count: placed.count, fleet) {
            for uuid in everywhereElse {
                let reference: JSONObject = ["instance": ["uuid": .string(uuid), "name": "-"]]
                try await fleet.client.fanout(Fleet.target(nil), "destroy", reference)
            }
            try await everywhere(Array(single)) { place in
                let reference: JSONObject = ["instance": ["uuid": .string(place.uuid), "name": "-"]]
                try await fleet.client.cast(Fleet.target(place.host), "destroy", reference, mandatory: true)
            }
            try await fleet.untilSettled(instances: 0)
        }
        #expect(try await fleet.inventory().isEmpty)
    }
}
