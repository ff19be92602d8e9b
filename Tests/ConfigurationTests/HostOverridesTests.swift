import Testing

@testable import Configuration

@Suite struct HostOverridesTests {
    @Test func hostSectionOverridesPerHostOptions() throws {
        let text = """
            hosts = a, b.example.org
            [console]
            archives = 2
            [host:b.example.org]
            backend = qemu
            console.archives = 5
            spin_limit = 9
            delay_create_machine_ms = 20
            [host:a]
            fault_set_state = every:3 unavailable
            """
        let settings = try settings(text)
        let (a, b) = (settings.hosts[0], settings.hosts[1])
        #expect(a.backend == .simulated && b.backend == .qemu)
        #expect(a.console.archives == 2 && b.console.archives == 5)
        #expect(a.console.spinLimit == 5 && b.console.spinLimit == 9)
        #expect(a.simulated.texts == ["fault_set_state": "every:3 unavailable"])
        #expect(b.simulated.texts == ["delay_create_machine_ms": "20"])
        #expect(settings.console.archives == 2)
    }

    @Test func commandLineReachesHosts() throws {
        let settings = try settings(
            "hosts = a.b,c",
            overrides: ["host:a.b.backend=plugin", "host:a.b.console.archives=7", "host:c.qemu.disk_bus=ide"]
        )
        #expect(settings.hosts[0].backend == .plugin)
        #expect(settings.hosts[0].console.archives == 7)
        #expect(settings.hosts[1].backend == .simulated)
        #expect(settings.hosts[1].qemu.diskBus == .ide)
    }

    @Test func wrongOverridesAreReported() {
        let text = "hosts = host-a\n[host:host-b]\nbackend = qemu\n[host:host-a]\nstate_path = /x\nbackened = qemu\n"
        let result = load(text)
        #expect(result.texts.contains("warning: test.conf:3: host 'host-b' is not served here; did you mean host-a?"))
        #expect(
            result.texts.contains("error: test.conf:5: host:host-a.state_path: is the same for all hosts of a process")
        )
        #expect(
            result.texts.contains("warning: test.conf:6: host:host-a.backened: unknown option; did you mean backend?")
        )
    }

    @Test func invalidOverrideIsAnError() {
        let result = load("hosts = a\n[host:a]\nconsole.archives = x\n")
        #expect(result.texts == ["error: test.conf:3: host:a.console.archives: 'x' is not an integer"])
    }
}
