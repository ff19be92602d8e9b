import ComputeRPC
import Console
import JSONCodec
import Journal
import Logging
import SimulatedHost
import Support
import TestSupport
import Testing
import VMOps

/// `schemas/` describes what real peers send and what the code has.
@Suite(.needsPython, .timeLimit(.minutes(5)))
struct SchemaTests {
    @Test func theSchemasAreSchemas() async throws {
        try await SchemaChecker.run { (checker: SchemaChecker) async throws in
            let (names, problems) = try await checker.schemas()
            #expect(problems == [])
            #expect(names.contains("envelope.schema.json"))
        }
    }

    @Test func everyMethodHasASchemaAndEverySchemaAMethod() async throws {
        let names = try await withTemporaryDirectory { directory in
            let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            let journal = try Journal(path: directory + "/journal.sqlite", settings: JournalSettings(), logger: logger)
            let host = SimulatedHost(
                name: "host-a",
                settings: SimulatedSettings(),
                stateDirectory: directory + "/simulated",
                world: try SimulatedWorld(),
                logger: logger
            )
            let operations = VMOps(
                host: "host-a",
                backend: host,
                console: ConsoleService(
                    host: "host-a",
                    settings: ConsoleSettings(),
                    engine: try ConsoleEngine(),
                    logger: logger
                ),
                journal: journal,
                instancesPath: directory + "/instances",
                settings: OperationSettings(imagesPath: directory + "/images"),
                peers: NoPeers(),
                observer: SilentObserver(),
                logger: logger
            )
            let endpoint = DriverEndpoint(
                operations: operations,
                identity: DriverEndpoint.Identity(host: "host-a", backend: "simulated", version: "0"),
                injectsPasswords: { false }
            )
            let names = endpoint.methodNames
            await journal.close()
            return names
        }
        let described = try await SchemaChecker.run { (checker: SchemaChecker) async throws in
            try await checker.schemas().names.compactMap { name -> String? in
                guard name.hasPrefix("methods/") else { return nil }
                return String(name.dropFirst("methods/".count).dropLast(".schema.json".count))
            }
        }
        #expect(described.sorted() == names)
    }

    @Test func everyCapturedMessageAgrees() async throws {
        let vectors = try OsloVector.all()
        try await SchemaChecker.run { (checker: SchemaChecker) async throws in
            var held = 0
            for vector in vectors {
                let inner = try #require(Self.schema(of: vector), "\(vector)")
                if vector.headers?["compression"] != nil {
                    #expect(try await checker.problems("envelope.schema.json", compressed: vector.body) == [])
                } else if let message = vector.osloMessage {
                    let body = String(decoding: vector.body, as: UTF8.self)
                    #expect(try await checker.problems("envelope.schema.json", text: body) == [], "\(vector)")
                    #expect(try await checker.problems(inner, text: message) == [], "\(vector)")
                    try await Self.checkFailure(message, vector, checker)
                } else {
                    let body = String(decoding: vector.body, as: UTF8.self)
                    #expect(try await checker.problems(inner, text: body) == [], "\(vector)")
                }
                held += 1
            }
            #expect(held == vectors.count && held > 100)
        }
    }

    @Test func whatIsWrongIsRefused() async throws {
        let wrong: [(String, JSONValue)] = [
            ("envelope.schema.json", ["oslo.version": "1.0", "oslo.message": "{}"]),
            ("envelope.schema.json", ["oslo.version": "2.0", "oslo.message": [:]]),
            ("request.schema.json", ["args": [:]]),
            ("request.schema.json", ["method": "m", "_msg_id": "x"]),
            ("reply.schema.json", ["result": 1, "ending": true, "_msg_id": "x"]),
            ("reply.schema.json", ["result": 1, "failure": .null, "ending": false, "_msg_id": "x"]),
            ("failure.schema.json", ["class": "X", "module": "m", "message": .null]),
            ("notification.schema.json", ["event_type": "x"]),
            ("methods/spawn.schema.json#/properties/args", ["instance": ["uuid": "x"]]),
            ("methods/ping.schema.json#/properties/args", ["x": 1]),
        ]
        try await SchemaChecker.run { (checker: SchemaChecker) async throws in
            for (schema, document) in wrong {
                #expect(try await checker.problems(schema, document) != [], "\(schema): \(document)")
            }
        }
    }

    @Test func aPrintedConfigurationAgrees() async throws {
        try await withTemporaryDirectory { directory in
            let printed = try await runCommand(
                Checkout.program("vmopsd"),
                [
                    "--config-file", "/dev/null", "--print-config", "--set", "state_path=\(directory)",
                    "--set", "simulated.fault_image=nth:2 internal after, first:3 timeout", "--set", "hosts=a,b",
                ]
            )
            #expect(printed.contains("fault_image = nth:2"))
            try await SchemaChecker.run { (checker: SchemaChecker) async throws in
                let schema = "configuration.schema.json"
                #expect(try await checker.problems(schema, file: printed) == [])
                for wrong in [
                    "[limits]\nprefetch = many", "[DEFAULT]\nlog_level = loud", "[simulated]\nfault_image = no",
                ] {
                    #expect(try await checker.problems(schema, file: wrong) != [], "\(wrong)")
                }
            }
        }
    }

    private static func schema(of vector: OsloVector) -> String? {
        let kinds = ["request": "request", "reply": "reply", "notify": "notification"]
        return kinds.first { vector.name.hasPrefix($0.key + "-") }.map { $0.value + ".schema.json" }
    }

    private static func checkFailure(_ message: String, _ vector: OsloVector, _ checker: SchemaChecker) async throws {
        guard vector.name.hasPrefix("reply-"),
            let failure = try JSONReader.read(Array(message.utf8))["failure"]?.stringValue
        else { return }
        #expect(try await checker.problems("failure.schema.json", text: failure) == [], "\(vector)")
    }
}

/// For operations that move nothing.
private struct NoPeers: MigrationPeers {
    func peer(_ host: String) throws -> any MigrationPeer { throw ConditionNotMet(description: "no host \(host)") }
}
