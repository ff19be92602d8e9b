import DaemonBench
import Foundation
import Support
import Synchronization
import TestSupport
import Testing

extension Traffic {
    /// Lets everything come to its end, holds the models against what is there, removes it, ends the daemon and looks
    /// at its journals.
    func check() async throws {
        try await untilIdle()
        let (models, abandoned) = state.withLock { ($0.models, $0.abandoned) }
        for (instance, model) in models { try await check(instance, model) }
        try await checkInventory(models)
        let evidence = Evidence(bench.daemon.statePath)
        #expect(evidence.partialFiles == [])
        if settings.backend == .simulated {
            for (uuid, machines) in try evidence.machines(settings.hosts) {
                #expect(machines.count == 1, "\(uuid) is on \(machines)")
            }
        }
        for (instance, model) in models {
            _ = try await perform(.destroy, instance, on: model.host)
        }
        try await destroyAbandoned(abandoned)
        try await untilIdle()
        for host in settings.hosts {
            let directory = "\(bench.daemon.statePath)/\(host)/instances"
            #expect(Files.names(in: directory) == [], "\(host)")
        }
        let twice = endings().filter { $0.value > 1 }.keys
        #expect(twice.isEmpty, "ended twice: \(twice)")
        state.withLock { $0.counts.doubled = twice.count }
        #expect(!bench.daemon.log.contains("method failed unexpectedly"))
        try await bench.daemon.terminate()
        try await checkJournals()
        print(counts)
    }

    func untilIdle() async throws {
        try await eventually(timeout: .seconds(120), "the end of all requests") {
            try await self.bench.metric("vmops_rpc_running") + self.bench.metric("vmops_rpc_queued")
                + self.bench.metric("vmops_rpc_held") == 0
        }
    }

    private func check(_ instance: TestInstance, _ model: MachineModel) async throws {
        let state = try await stateOrAbsent(instance, on: model.host)
        let name = "\(instance.name) \(instance.uuid) on \(model.host)"
        #expect(model.possible.contains(state), "\(name) is \(state), not one of \(model.possible)")
        for (image, isThere) in model.images {
            let path = "\(bench.daemon.statePath)/images/\(image)"
            let found = Files.names(in: "\(bench.daemon.statePath)/images").contains { $0.hasPrefix(image) }
            #expect(found == isThere, "\(path) of \(name):\n\(history(instance))")
        }
        guard state != MachineModel.absent else { return }
        let directory = "\(bench.daemon.statePath)/\(model.host)/instances/\(instance.uuid)"
        #expect(Files.names(in: directory).contains { $0.hasPrefix("root") }, "\(Files.names(in: directory))")
        guard settings.backend == .simulated else { return }
        let machine = try Evidence(bench.daemon.statePath).machine(instance.uuid, on: model.host)
        guard let machine else {
            Issue.record("\(name) has no file")
            return
        }
        #expect(
            (model.leastBoots...model.mostBoots).contains(machine.boots),
            "\(name) booted \(machine.boots) times, not \(model.leastBoots)...\(model.mostBoots):\n\(history(instance))"
        )
        #expect(machine.interfaces.sorted() == model.interfaces.sorted(), "\(name):\n\(history(instance))")
        #expect(machine.volumes.sorted() == model.volumes.sorted(), "\(name):\n\(history(instance))")
        let powers = ["running": "running", "paused": "paused", "off": "off", "suspended": "saved"]
        #expect(machine.power == powers[state], "\(name)")
        try await checkConsole(instance, on: model.host)
    }

    /// Every numbered line is whole and follows the one before. A simulated guest's unread output dies with its process:
    /// after a kill it goes on behind all it can have printed, maybe in the middle of a line, maybe without the banner
    /// of a boot.
    private func checkConsole(_ instance: TestInstance, on host: String) async throws {
        var text: [UInt8] = []
        var offset: Int64 = 0
        while true {
            var arguments = instance.reference
            arguments["offset"] = .int(offset)
            arguments["max_bytes"] = 1_000_000
            let part = try await bench.call("console_read", arguments, on: host)
            text += part["data"]?.stringValue.flatMap { Data(base64Encoded: $0) }.map { [UInt8]($0) } ?? []
            let next = part["next_offset"]?.intValue ?? offset
            if next == offset { break }
            offset = next
        }
        let kills = counts.kills
        let lines = String(decoding: text, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: true)
        var last = 0
        var torn = 0
        for line in lines {
            if line.contains("Simulated kernel") { last = 0 }
            guard line.hasPrefix("line ") else { continue }
            guard let number = Int(line.dropFirst("line ".count)) else {
                torn += 1
                continue
            }
            if kills > 0, number <= last { torn += 1 }
            if kills == 0 { #expect(number == last + 1, "\(instance.name) on \(host): line \(number) after \(last)") }
            last = number
        }
        #expect(torn <= kills, "\(instance.name) on \(host) has \(torn) lines that do not follow the one before")
    }

    /// What the log tells of an instance, for a failure.
    private func history(_ instance: TestInstance) -> String {
        bench.daemon.logLines.filter { $0.contains(instance.uuid) || $0.contains(" serving") }.suffix(60)
            .joined(separator: "\n")
    }

    /// Hosts list what the models say, and have no other directory.
    private func checkInventory(_ models: [TestInstance: MachineModel]) async throws {
        let abandoned = state.withLock { $0.abandoned }
        for host in settings.hosts {
            let known = models.filter { $0.value.host == host && $0.value.state != MachineModel.absent }
                .map(\.key.uuid).sorted()
            let listed = (try await bench.call("list_instance_uuids", on: host).arrayValue ?? [])
                .compactMap(\.stringValue).filter { !abandoned.contains($0) }.sorted()
            let floods = settings.losesRequests ? listed.filter { !known.contains($0) } : []
            #expect(listed.filter { !floods.contains($0) } == known, "\(host)")
            let directory = "\(bench.daemon.statePath)/\(host)/instances"
            let directories = Files.names(in: directory).filter { !abandoned.contains($0) && !floods.contains($0) }
            #expect(directories == known, "\(host)")
        }
    }

    private func destroyAbandoned(_ abandoned: Set<String>) async throws {
        guard settings.losesRequests else { return }
        for host in settings.hosts {
            for uuid in try await bench.call("list_instance_uuids", on: host).arrayValue ?? [] {
                _ = newID(call: true)
                try await bench.call("destroy", ["instance": ["uuid": uuid, "name": "-"]], on: host)
                state.withLock { state in
                    state.counts.answered += 1
                    state.counts.inFlight -= 1
                }
            }
        }
    }

    /// How often the log says of each request that its operation ended.
    func endings() -> [String: Int] {
        var ended: [String: Int] = [:]
        for line in bench.daemon.logLines where line.contains(" operation ") && line.contains("request_id=traffic-") {
            guard !line.contains("outcome=expired"),
                let word = line.split(separator: " ").first(where: { $0.hasPrefix("request_id=") })
            else { continue }
            ended[String(word), default: 0] += 1
        }
        return ended
    }

    /// Every request was accepted once and has ended, and no reply is owed.
    private func checkJournals() async throws {
        let journals = try await JournalEvidence.read(bench.daemon.statePath, settings.hosts)
        for (host, journal) in journals {
            #expect(journal.verdict == "ok", "\(host)")
            #expect(journal.unfinished.isEmpty, "\(host): \(journal.unfinished)")
            #expect(journal.owedReplies == 0, "\(host)")
            #expect(journal.records.isEmpty, "\(host): \(journal.records)")
        }
        let accepted = journals.values.reduce(0) { $0 + $1.remembered }
        let counts = state.withLock { state in
            state.counts.accepted = accepted
            return state.counts
        }
        if settings.losesRequests {
            #expect(counts.lost >= 0)
            #expect(accepted >= counts.answered)
        } else {
            #expect(counts.lost == 0, "accepted \(accepted), sent \(counts.changes), withdrawn \(counts.withdrawn)")
            #expect(counts.unanswered == 0)
        }
        if settings.losesRequests { print("lost in the broker's queues: \(counts.lost) requests") }
    }
}
