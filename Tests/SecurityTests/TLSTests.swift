import DaemonBench
import Foundation
import Support
import TestSupport
import Testing

/// With whom the daemon talks when TLS is on, and how it proves who it is.
@Suite(.timeLimit(.minutes(5)))
struct TLSTests {
    /// What the daemon logs about a server with one of the certificates of `Tests/Harness/tls_files.py`.
    private func complaint(
        about certificate: String,
        _ directory: String,
        _ options: [String: String]
    ) async throws -> String {
        let file = "\(directory)/tls/\(certificate)"
        // It ends when both connections of the daemon have come.
        let arguments = [
            "s_server", "-naccept", "2", "-accept", "127.0.0.1:0", "-cert", file + ".pem", "-key", file + ".key",
        ]
        return try await LineProcess.run("openssl", arguments) { server in
            var line = ""
            while !line.hasPrefix("ACCEPT ") { line = try await server.readLine() }
            let port = line.split(separator: ":").last.map(String.init) ?? ""
            let settings = DaemonSettings(
                hosts: ["host-a"],
                options: ["oslo_messaging_rabbit": options],
                url: "rabbit://user:the-password@localhost:\(port)/"
            )
            return try await DaemonProcess.run(settings, waitsForService: false) { daemon in
                let complaint = try await daemon.waitForLog("cannot connect")
                #expect(!daemon.log.contains("the-password"))
                return complaint
            }
        }
    }

    private func withCertificates(_ body: (_ directory: String) async throws -> Void) async throws {
        try await withTemporaryDirectory { directory in
            let script = Checkout.harness.appending(path: "tls_files.py").path
            _ = try await runCommand(Checkout.python, [script, directory + "/tls"])
            try await body(directory)
        }
    }

    @Test func onlyTheBrokerThatWasMeantIsTalkedTo() async throws {
        try await withCertificates { directory in
            let options = ["ssl": "true", "ssl_ca_file": directory + "/tls/ca.pem"]
            let elsewhere = try await complaint(about: "elsewhere", directory, options)
            #expect(elsewhere.contains("not for the host name localhost"), "\(elsewhere)")
            for certificate in ["expired", "untrusted"] {
                let line = try await complaint(about: certificate, directory, options)
                #expect(line.contains("certificate"), "\(certificate): \(line)")
            }
            // One option is enough: without a file of authorities it is the system's that count.
            let unknown = try await complaint(about: "server", directory, ["ssl": "true"])
            #expect(unknown.contains("certificate"), "\(unknown)")
        }
    }

    @Test(.enabled(if: PrivateBroker.isAvailable, "needs RabbitMQ"))
    func aClientCertificateTakesThePlaceOfAPassword() async throws {
        let configuration = [
            "auth_mechanisms.1": "EXTERNAL", "ssl_cert_login_from": "common_name",
            "ssl_options.fail_if_no_peer_cert": "true",
        ]
        try await PrivateBroker.run(
            tls: true,
            configuration: configuration,
            plugins: ["rabbitmq_auth_mechanism_ssl"]
        ) { broker in
            try await broker.evaluate(
                """
                ok = rabbit_auth_backend_internal:add_user(<<"vmops test client">>, <<"unused">>, <<"test">>),
                rabbit_auth_backend_internal:set_permissions(<<"vmops test client">>, <<"/">>, <<".*">>, <<".*">>,
                  <<".*">>, <<"test">>)
                """
            )
            var settings = DaemonSettings(
                hosts: ["host-a"],
                url: broker.tlsURL.replacing("guest:guest@", with: "nobody:nothing@")
            )
            settings.options["oslo_messaging_rabbit"] = [
                "ssl": "true", "ssl_ca_file": broker.tlsDirectory + "/ca.pem",
                "ssl_cert_file": broker.tlsDirectory + "/client.pem",
                "ssl_key_file": broker.tlsDirectory + "/client.key", "rabbit_login_method": "EXTERNAL",
            ]
            try await DaemonProcess.run(settings) { _ in
                let users = try await broker.evaluate(
                    "[rabbit_reader:info(P, [user, auth_mechanism]) || P <- rabbit_networking:connections()]"
                )
                #expect(users.contains("vmops test client") && users.contains("EXTERNAL"), "\(users)")
                #expect(!users.contains("nobody"))
            }
            // A password is no way in here, and the log says what is.
            settings.options["oslo_messaging_rabbit"]?["rabbit_login_method"] = "PLAIN"
            try await DaemonProcess.run(settings, waitsForService: false) { daemon in
                let line = try await daemon.waitForLog("cannot connect")
                #expect(line.contains("PLAIN"), "\(line)")
            }
        }
    }

    @Test(.enabled(if: TestBroker.isAvailable, Comment(rawValue: TestBroker.missing)))
    func aQueueWithOtherPropertiesIsUsedAsItIsAndNamed() async throws {
        let broker = try #require(TestBroker.shared)
        try await broker.withVirtualHost { url in
            let name = URL(string: url)?.lastPathComponent ?? ""
            try await broker.evaluate(
                """
                {new, _} = rabbit_amqqueue:declare(rabbit_misc:r(<<"\(name)">>, queue, <<"compute.host-a">>), true, false,
                  [{<<"x-max-length">>, long, 100}], none, <<"test">>), ok
                """
            )
            try await DaemonProcess.run(DaemonSettings(hosts: ["host-a"], url: url)) { daemon in
                let line = try await daemon.waitForLog("with other properties than configured")
                #expect(line.contains("queue compute.host-a"))
                #expect(line.contains("406") || line.contains("PRECONDITION_FAILED"), "\(line)")
                try await OsloClient.run(.v18_3_1, url: url) { (client: OsloClient) async throws in
                    #expect(try await client.call("ping").result?["host"] == "host-a")
                }
            }
        }
    }
}
