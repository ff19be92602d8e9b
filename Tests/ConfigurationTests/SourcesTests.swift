import Testing

@testable import Configuration

@Suite struct SourcesTests {
    @Test func laterSourcesWin() throws {
        let fixture = try ConfigurationFixture()
        let first = try fixture.write("first", "[console]\narchives = 1\nsegment_bytes = 1024\nspin_limit = 1\n")
        let second = try fixture.write("second", "[console]\narchives = 2\n[hyperv]\nvswitch_name = two\n")
        _ = try fixture.write("20.conf", "[console]\nspin_limit = 20\n")
        _ = try fixture.write("10.conf", "[console]\nspin_limit = 10\n")
        _ = try fixture.write("30.txt", "[console]\nspin_limit = 30\n")
        let result = Settings.load(
            ConfigurationSources(
                files: [first, second],
                directories: [fixture.directory],
                environment: ["OS_CONSOLE__ARCHIVES": "3", "OS_HYPERV__VSWITCH_NAME": "env", "PATH": "/bin"],
                overrides: ["hyperv.vswitch_name=set"],
                machineName: "machine"
            )
        )
        let settings = try #require(result.settings, "\(result.problems)")
        #expect(settings.console.segmentBytes == 1024)
        #expect(settings.console.archives == 3)
        #expect(settings.console.spinLimit == 20)
        #expect(settings.hyperv.vswitchName == "set")
        #expect(result.problems == [])
    }

    @Test func missingFilesAndDirectoriesAreErrors() throws {
        let fixture = try ConfigurationFixture()
        let sources = ConfigurationSources(
            files: [fixture.directory + "/none", fixture.directory + "/neither"],
            directories: [fixture.directory + "/nowhere"],
            machineName: "machine"
        )
        let result = Settings.load(sources)
        #expect(result.settings == nil)
        #expect(result.errors.count == 3)
        #expect(result.texts[0].contains("/none: file cannot be opened"))
    }

    @Test func variablesOfOtherProgramsAreLeftAlone() throws {
        let result = load("", environment: ["OS_USERNAME": "x", "OS_FOO__BAR": "x", "OS_DEFAULT__DEBUG": "yes"])
        #expect(result.problems == [])
        #expect(try #require(result.settings).log.level == .debug)
    }

    @Test func misspeltVariableIsReported() {
        let result = load("", environment: ["OS_CONSOLE__ARCHIVE": "1"])
        #expect(
            result.texts == [
                "warning: environment OS_CONSOLE__ARCHIVE: console.archive: unknown option; did you mean archives?"
            ]
        )
    }

    @Test func misspeltOverrideIsAnError() {
        let result = load("", overrides: ["console.archive=1", "consle.archives=1", "nonsense", "host:a.archive=1"])
        #expect(result.errors.count == 4)
        #expect(result.texts[0].hasSuffix("unknown option; did you mean archives?"))
        #expect(result.texts[1].hasSuffix("unknown group; did you mean console?"))
    }

    @Test func overrideWithoutGroupIsOfDefault() throws {
        #expect(try settings(overrides: ["compute_topic=a=b"]).messaging.computeTopic == "a=b")
    }

    @Test func multiValuedOptionsAddUpInFilesAndAreReplacedAbove() throws {
        let text = "[oslo_messaging_notifications]\ndriver = messaging\ndriver = log\n"
        #expect(try settings(text).notifications.drivers == ["messaging", "log"])
        let environment = ["OS_OSLO_MESSAGING_NOTIFICATIONS__DRIVER": "noop"]
        #expect(try settings(text, environment: environment).notifications.drivers == ["noop"])
    }

    @Test func olderNamesWorkAndAreRemarkedUpon() throws {
        let result = load("rpc_thread_pool_size = 5\n[oslo_messaging_rabbit]\nkombu_reconnect_timeout = 7\n")
        let settings = try #require(result.settings)
        #expect(settings.limits.maxInflight == 5)
        #expect(settings.messaging.missingConsumerRetryTimeout == .seconds(7))
        #expect(result.problems.map(\.severity) == [.warning, .warning])
    }

    @Test func substitutesAsOsloConfigDoes() throws {
        let text = """
            state_path = /srv/${host}
            host = h
            my_ip = $$x \\$y $
            [admin]
            listen = unix:$state_path/${admin.timeout}.sock
            timeout = 5
            [simulated]
            boot_lines = $console.archives
            """
        let settings = try settings(text)
        #expect(settings.statePath == "/srv/h")
        #expect(settings.compute.myIP == "$x $y $")
        #expect(settings.simulated.texts == ["boot_lines": "1"])
        #expect(settings.admin.listen == .unix(path: "/srv/h/5.sock"))
    }

    @Test func badReferencesAreErrors() {
        let result = load(
            "state_path = $nowhere\nmy_ip = $compute_topic\ncompute_topic = $my_ip\nlog_file = $transport_url"
        )
        #expect(result.settings == nil)
        #expect(result.texts.contains { $0.contains("test.conf:1: DEFAULT.state_path: $nowhere is not an option") })
        #expect(result.texts.contains { $0.contains("refers to itself") })
        #expect(result.texts.contains { $0.contains("$transport_url is a secret") })
    }
}
