import DaemonBench
import Foundation
import JSONCodec
import Support
import TestSupport

/// What happened to machines as the simulated hosts' files tell it: written by the hosts, not by the worker that
/// counts and remembers.
struct Evidence: Sendable {
    struct Machine: Sendable {
        var host: String
        var phase: String
        var power: String
        var boots: Int
        var interfaces: [String]
        var volumes: [String]
    }

    let statePath: String

    init(_ statePath: String) { self.statePath = statePath }

    /// `nil` when there is no file of it.
    ///
    /// - Throws: when the file is not a whole record.
    func machine(_ uuid: String, on host: String) throws -> Machine? {
        let path = "\(statePath)/\(host)/simulated/machines/\(uuid).json"
        guard let data = FileManager.default.contents(atPath: path) else { return nil }
        let record = try JSONReader.read([UInt8](data))
        let spec = record["spec"]
        let disks = spec?["disks"]?.arrayValue ?? []
        return Machine(
            host: host,
            phase: record["phase"]?.stringValue ?? "?",
            power: record["guest"]?["power"]?.stringValue ?? "?",
            boots: Int(record["guest"]?["boots"]?.intValue ?? -1),
            interfaces: (spec?["interfaces"]?.arrayValue ?? []).compactMap { $0["id"]?.stringValue },
            volumes: disks.filter { $0["role"]?.stringValue == "volume" }.compactMap { $0["identifier"]?.stringValue }
        )
    }

    /// All machines of the hosts, by uuid.
    func machines(_ hosts: [String]) throws -> [String: [Machine]] {
        var all: [String: [Machine]] = [:]
        for host in hosts {
            for name in Files.names(in: "\(statePath)/\(host)/simulated/machines") where name.hasSuffix(".json") {
                let uuid = String(name.dropLast(".json".count))
                if let machine = try machine(uuid, on: host) { all[uuid, default: []].append(machine) }
            }
        }
        return all
    }

    /// Files that were not finished, below the whole state.
    var partialFiles: [String] {
        let paths = FileManager.default.enumerator(atPath: statePath)?.compactMap { $0 as? String } ?? []
        return paths.filter { $0.contains(".partial") }
    }
}

/// What a worker that has ended left in its journals.
struct JournalEvidence: Sendable {
    struct Request: Sendable {
        var id: String
        var method: String
        var started: Bool
    }

    /// What `quick_check` says.
    var verdict: String
    /// Accepted ids, ever.
    var remembered: Int
    var unfinished: [Request]
    var owedReplies: Int
    /// The records of instances.
    var records: [JSONValue]

    /// Looks at copies, so that what the next worker finds is what the last one left.
    static func read(_ statePath: String, _ hosts: [String]) async throws -> [String: JournalEvidence] {
        let program = """
            import json, os, shutil, sqlite3, sys, tempfile
            found = {}
            for host in sys.argv[2:]:
                with tempfile.TemporaryDirectory() as copy:
                    for name in ("journal.sqlite", "journal.sqlite-wal"):
                        path = os.path.join(sys.argv[1], host, name)
                        if os.path.exists(path): shutil.copy(path, copy)
                    db = sqlite3.connect(os.path.join(copy, "journal.sqlite"))
                    one = lambda sql: db.execute(sql).fetchone()[0]
                    found[host] = {
                        "verdict": one("PRAGMA quick_check(1)"),
                        "remembered": one("SELECT count(*) FROM remembered"),
                        "owed": one("SELECT count(*) FROM request WHERE reply IS NOT NULL"),
                        "unfinished": [{"id": i, "method": m, "state": s} for i, m, s in
                                       db.execute("SELECT id, method, state FROM request WHERE state < 2")],
                        "records": [json.loads(r) for r, in db.execute("SELECT record FROM instance")],
                    }
                    db.close()
            print(json.dumps(found))
            """
        let text = try await runCommand(Checkout.python, ["-c", program, statePath] + hosts)
        let found = try JSONReader.read(Array(text.utf8)).objectValue ?? [:]
        var all: [String: JournalEvidence] = [:]
        for (host, journal) in found { all[host] = JournalEvidence(journal) }
        return all
    }

    private init(_ json: JSONValue) {
        verdict = json["verdict"]?.stringValue ?? "?"
        remembered = Int(json["remembered"]?.intValue ?? -1)
        owedReplies = Int(json["owed"]?.intValue ?? -1)
        unfinished = (json["unfinished"]?.arrayValue ?? []).map {
            Request(
                id: $0["id"]?.stringValue ?? "?",
                method: $0["method"]?.stringValue ?? "?",
                started: $0["state"]?.intValue == 1
            )
        }
        records = json["records"]?.arrayValue ?? []
    }
}
