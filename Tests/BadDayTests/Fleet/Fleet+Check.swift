import Foundation
import JSONCodec
import Support
import TestSupport
import Testing

/// One machine at one place.
struct Placement: Hashable, Sendable {
    var host: String
    var uuid: String
}

extension Fleet {
    /// What all hosts say they have, by one fan-out: each machine with its state.
    func inventory() async throws -> [(place: Placement, state: String)] {
        var all: [(place: Placement, state: String)] = []
        for answer in try await ask("list_instance_infos") {
            for info in answer.arrayValue ?? [] {
                let place = Placement(host: info["host"]?.stringValue ?? "?", uuid: info["uuid"]?.stringValue ?? "?")
                all.append((place, info["state"]?.stringValue ?? "?"))
            }
        }
        return all
    }

    /// The machines in the hosts' own files: none twice, each in one piece, with the boots it should have had.
    ///
    /// - Parameter boots: of those that were booted again.
    func machines(boots: [Placement: Int] = [:]) throws -> Set<Placement> {
        var found: Set<Placement> = []
        for (worker, hosts) in zip(workers, hosts) {
            let evidence = Evidence(worker.statePath)
            #expect(evidence.partialFiles == [])
            for (uuid, machines) in try evidence.machines(hosts) {
                for machine in machines {
                    let place = Placement(host: machine.host, uuid: uuid)
                    #expect(found.insert(place).inserted, "\(place) is there twice")
                    #expect(machine.power == "running", "\(place)")
                    let expected = boots[place, default: 1]
                    #expect(machine.boots == expected, "\(place) booted \(machine.boots) times, not \(expected)")
                }
            }
        }
        return found
    }

    /// Once the workers have ended: every request was accepted once and has ended, and no reply is owed.
    ///
    /// - Returns: how many were accepted.
    func checkJournals() async throws -> Int {
        var accepted = 0
        for (worker, hosts) in zip(workers, hosts) {
            for (host, journal) in try await JournalEvidence.read(worker.statePath, hosts) {
                #expect(journal.verdict == "ok", "\(host)")
                #expect(journal.unfinished.isEmpty, "\(host): \(journal.unfinished)")
                #expect(journal.owedReplies == 0, "\(host)")
                accepted += journal.remembered
            }
        }
        return accepted
    }

    /// Below the hosts' directories nothing of any machine is left.
    func checkNothingIsLeft() throws {
        for (worker, hosts) in zip(workers, hosts) {
            for host in hosts {
                let directory = "\(worker.statePath)/\(host)"
                #expect(Files.names(in: directory + "/instances") == [], "\(host)")
                #expect(Files.names(in: directory + "/simulated/machines") == [], "\(host)")
            }
            let failed = worker.logLines.filter { $0.contains("method failed unexpectedly") }
            #expect(failed == [])
        }
    }
}
