import Support
import TestSupport
import Testing

/// Transport URLs as deployments write them.
@Suite(.needsBroker, .needsPython, .timeLimit(.minutes(5)))
struct ConnectionTests {
    @Test(arguments: OsloVersion.allCases)
    func aDeadFirstBrokerIsPassedOver(version: OsloVersion) async throws {
        try await TestBroker.withVirtualHost { url in
            let broker = try #require(TestBroker.shared)
            try await FaultProxy.run(to: broker) { proxy in
                // Refused at once, as by a machine whose broker is down.
                try await proxy.refuse()
                let live = "guest:guest@127.0.0.1:\(broker.port)"
                let both = url.replacing(live, with: "guest:guest@127.0.0.1:\(proxy.port),\(live)")
                #expect(both != url)
                try await DaemonProcess.run(DaemonSettings(hosts: ["host-a"], url: both)) { _ in
                    try await OsloClient.run(version, url: url) { (client: OsloClient) async throws in
                        #expect(try await client.call("ping").result?["host"] == "host-a")
                    }
                }
            }
        }
    }

    @Test(arguments: OsloVersion.allCases)
    func aVirtualHostMayHaveAnyName(version: OsloVersion) async throws {
        let broker = try #require(TestBroker.shared)
        // No two digits after the percent sign: the Python library would decode those once more.
        try await broker.withVirtualHost(named: "a/b c%-\(UniqueID.make())") { url in
            #expect(url.contains("a%2Fb%20c%25"))
            try await DaemonProcess.run(DaemonSettings(hosts: ["host-a"], url: url)) { daemon in
                #expect(daemon.virtualHost.hasPrefix("a/b c%"))
                // rpc_client.py takes the URL as it is: the library decodes it, too.
                try await OsloClient.run(version, url: url) { (client: OsloClient) async throws in
                    #expect(try await client.call("ping").result?["host"] == "host-a")
                }
            }
        }
    }

    @Test func aVirtualHostThatIsNotThereIsNamedInTheLog() async throws {
        let broker = try #require(TestBroker.shared)
        let url = broker.transportURL(virtualHost: "nowhere-\(UniqueID.make())")
        try await DaemonProcess.run(DaemonSettings(hosts: ["host-a"], url: url), waitsForService: false) { daemon in
            let line = try await daemon.waitForLog("nowhere-")
            #expect(line.contains("error") || line.contains("warning"), "\(line)")
            #expect(!daemon.log.contains("guest:guest"))
        }
    }

    @Test func aWrongPasswordIsReportedAndNotShown() async throws {
        let broker = try #require(TestBroker.shared)
        let url = "rabbit://guest:wrong-secret@127.0.0.1:\(broker.port)/"
        try await DaemonProcess.run(DaemonSettings(hosts: ["host-a"], url: url), waitsForService: false) { daemon in
            try await daemon.waitForLog("ACCESS_REFUSED")
            #expect(!daemon.log.contains("wrong-secret"))
        }
    }
}

/// TLS between vmopsd and a broker that asks for it.
@Suite(.needsPrivateBroker, .needsPython, .timeLimit(.minutes(5)))
struct TLSTests {
    @Test func aClientCertificateIsShownAndTheBrokerIsVerified() async throws {
        try await PrivateBroker.run(tls: true, configuration: ["ssl_options.fail_if_no_peer_cert": "true"]) { broker in
            var settings = DaemonSettings(hosts: ["host-a"], url: broker.tlsURL)
            settings.options["oslo_messaging_rabbit"] = [
                "ssl": "true", "ssl_ca_file": broker.tlsDirectory + "/ca.pem",
                "ssl_cert_file": broker.tlsDirectory + "/client.pem",
                "ssl_key_file": broker.tlsDirectory + "/client.key",
            ]
            try await DaemonProcess.run(settings) { daemon in
                let tls = try await broker.evaluate(
                    "lists:any(fun(P) -> rabbit_reader:info(P, [ssl]) =:= [{ssl, true}] end, rabbit_networking:connections())"
                )
                #expect(tls == "true")
                for version in OsloVersion.allCases {
                    try await OsloClient.run(version, url: broker.url) { (client: OsloClient) async throws in
                        #expect(try await client.call("ping").result?["host"] == "host-a")
                    }
                }
                // Another authority signed it: nothing is sent, and the log says what is wrong.
                daemon.settings.options["oslo_messaging_rabbit"] = [
                    "ssl": "true", "ssl_ca_file": broker.tlsDirectory + "/other-ca.pem",
                ]
                try await daemon.terminate()
                try await daemon.start(waitsForService: false)
                let line = try await daemon.waitForLog("certificate")
                #expect(line.contains("warning") || line.contains("error"), "\(line)")
                #expect(line.contains("localhost"), "\(line)")
            }
        }
    }
}
