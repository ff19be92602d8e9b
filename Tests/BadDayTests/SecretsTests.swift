import DaemonBench
import Foundation
import OsloMessaging
import RPCClient
import Support
import TestSupport
import Testing

/// What the log has of operations, and what it must not have.
@Suite(.enabled(if: TestBroker.isAvailable, Comment(rawValue: TestBroker.missing)), .timeLimit(.minutes(5)))
struct SecretsTests {
    @Test func anOperationIsOneLineWithWhatOneSearchesFor() async throws {
        try await Bench.run { bench in
            let instance = TestInstance()
            try await bench.call("spawn", ["instance": instance.description], requestID: "req-spawn")
            _ = try? await bench.call("power_off", TestInstance().reference, requestID: "req-failed")
            try await eventually("both lines") { bench.operationLines("req-failed").count == 1 }
            let spawned = bench.operationLines("req-spawn")
            #expect(spawned.count == 1)
            for part in ["method=spawn", "instance=\(instance.uuid)", "outcome=ok", "duration_ms=", "host=host-a"] {
                #expect(spawned.first?.contains(part) == true, "\(part): \(spawned)")
            }
            let failed = bench.operationLines("req-failed")
            #expect(failed.first?.contains("outcome=InstanceNotFound") == true, "\(failed)")
        }
    }

    @Test func noProgramIsGivenASecretByItsArguments() async throws {
        // Each program that is run says how it was called, then does its work.
        try await withTemporaryDirectory { tools in
            let journal = tools + "/calls"
            for tool in ["qemu-img", "xorriso"] {
                let script =
                    "#!/bin/sh\n{ tr '\\0' ' ' < /proc/$$/cmdline; cat /proc/$$/environ; echo; } >> \(journal)\n"
                try Data((script + "exec /usr/bin/\(tool) \"$@\"\n").utf8).write(to: URL(filePath: tools + "/" + tool))
                try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: tools + "/" + tool)
            }
            var settings = DaemonSettings(options: ["hyperv": ["config_drive_inject_password": "true"]])
            settings.environment = ["PATH": tools + ":/usr/bin:/bin"]
            try await Bench.run(settings) { bench in
                let secrets = ["password", "content", "name"].map { "\($0)-\(UniqueID.make())" }
                var instance = TestInstance(secrets[2]).description.objectValue ?? [:]
                instance["config_drive"] = true
                let file = Data(secrets[1].utf8).base64EncodedString()
                let answer = try await bench.call(
                    "spawn",
                    [
                        "instance": .object(instance), "admin_password": .string(secrets[0]),
                        "injected_files": [["/etc/secret", .string(file)]],
                    ]
                )
                #expect(answer["state"]?.stringValue == "running")
                let calls = try String(contentsOfFile: journal, encoding: .utf8)
                #expect(calls.contains("xorriso"))
                for secret in secrets + [file] { #expect(!calls.contains(secret)) }
            }
        }
    }

    @Test func secretsAppearNowhere() async throws {
        let password = "Pw-\(UniqueID.make())"
        let content = "File-\(UniqueID.make())"
        let token = "Token-\(UniqueID.make())"
        let settings = DaemonSettings(options: ["DEFAULT": ["log_level": "trace"]])
        try await Bench.run(settings) { bench in
            let broker = "broker-\(UniqueID.make())"
            let encoded = Data(content.utf8).base64EncodedString()
            func spawn(_ instance: JSONValue) async -> (any Error)? {
                do {
                    _ = try await bench.client.call(
                        .init(exchange: "nova", topic: "compute", server: "host-a"),
                        "spawn",
                        [
                            "instance": instance, "admin_password": .string(password),
                            "injected_files": [["/etc/secret", .string(encoded)]],
                        ],
                        context: ["auth_token": .string(token), "request_id": "req-1"]
                    )
                    return nil
                } catch {
                    return error
                }
            }
            let instance = TestInstance()
            let refused = await spawn(["uuid": "no uuid"])
            #expect(refused != nil)
            #expect(await spawn(instance.description) == nil)
            let twice = await spawn(instance.description)
            let secrets = [password, content, encoded, token]
            for secret in secrets {
                #expect(!"\(refused as Any) \(twice as Any)".contains(secret))
                #expect(!bench.daemon.log.contains(secret))
                for path in ["/status", "/metrics"] {
                    let answer = try await AdminRequest.get(path, at: bench.daemon.adminSocket)
                    #expect(!answer.contains(secret))
                }
            }
            // Soon after the operation's end nothing of it is on disk, while the worker runs on.
            let statePath = bench.daemon.statePath
            try await eventually("files without secrets") {
                secrets.allSatisfy { Files.holding($0, below: statePath).isEmpty }
            }
            try await bench.call("destroy", instance.reference)
            try await bench.daemon.terminate()
            for secret in secrets {
                #expect(Files.holding(secret, below: bench.daemon.statePath) == [], "after \(secret.prefix(5))")
            }

            // The daemon's own secret: a broker's password.
            let url = "rabbit://user:\(broker)@127.0.0.1:1/"
            bench.daemon.settings.options["DEFAULT"]?["transport_url"] = url
            try bench.daemon.writeConfiguration()
            let printed = try await runCommand(
                Checkout.program("vmopsd"),
                ["--config-file", bench.daemon.configurationFile, "--print-config"]
            )
            #expect(printed.contains("transport_url"))
            #expect(!printed.contains(broker))
            try await bench.daemon.start(waitsForService: false)
            try await bench.daemon.waitForLog("127.0.0.1:1")
            #expect(!bench.daemon.log.contains(broker))
        }
    }
}
