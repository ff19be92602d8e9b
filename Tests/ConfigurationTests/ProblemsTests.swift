import Testing

@testable import Configuration

@Suite struct ProblemsTests {
    @Test func everyProblemIsReportedAtOnceWithItsPlace() {
        let text = """
            [console]
            archives = many
            segment_bytes = 1
            flush_interval = 3
            [DEFAULT]
            backend = xen
            compute_topik = x
            broken
            [hyperv]
            limit_cpu_features = perhaps
            dynamic_memory_ratio = nan
            """
        let result = load(text)
        #expect(result.settings == nil)
        #expect(
            result.problems.filter { $0.severity == .error }.compactMap(\.line).sorted() == [2, 3, 6, 8, 10, 11]
        )
        #expect(result.problems.allSatisfy { $0.file == "test.conf" })
        let expected = "warning: test.conf:7: DEFAULT.compute_topik: unknown option; did you mean compute_topic?"
        #expect(result.texts.contains(expected))
        #expect(
            result.texts.contains(
                "warning: test.conf:4: console.flush_interval: unknown option; did you mean flush_interval_ms?"
            )
        )
    }

    @Test func groupsOfOthersAreOneNote() {
        let result = load("[libvirt]\nvirt_type = kvm\n[vnc]\na = 1\n[plugin]\nuser = x\n")
        #expect(result.texts == ["note: test.conf: groups of other programs are ignored: libvirt, vnc"])
        #expect(result.settings != nil)
    }

    @Test func misspeltGroupIsReported() {
        #expect(load("[consle]\narchives = 1\n").texts[0].hasSuffix("unknown group [consle]; did you mean [console]?"))
    }

    @Test func groupNamesDoNotDependOnCase() throws {
        #expect(try settings("[Console]\narchives = 4\n[default]\nhost = x").console.archives == 4)
    }

    @Test(arguments: ["a/b", "a b", "", "a\u{0}b", "a\nb", "..", "a*", "#", String(repeating: "x", count: 248)])
    func hostNamesThatCannotBeAreRefused(name: String) {
        var reader = SourceReader(.standard, machineName: name)
        reader.readWithoutFiles(environment: [:], overrides: [])
        #expect(Settings.load(reader).settings == nil)
    }

    @Test func longestHostNameThatFits() throws {
        let name = String(repeating: "x", count: 255 - "compute-alt.".count)
        #expect(try settings("host = \(name)").hosts[0].name == name)
        #expect(load("host = \(name)x").settings == nil)
    }

    @Test func hostsAreUnique() {
        #expect(load("hosts = a,b,a").texts == ["error: test.conf:1: DEFAULT.hosts: host 'a' is listed twice"])
    }

    @Test(arguments: [
        "[oslo_messaging_rabbit]\nrabbit_quorum_queue = 1\nrabbit_ha_queues = 1",
        "[oslo_messaging_rabbit]\nrabbit_quorum_queue = 1\namqp_auto_delete = 1",
        "[oslo_messaging_rabbit]\nrabbit_stream_fanout = 1\nrabbit_qos_prefetch_count = 1",
        "[oslo_messaging_rabbit]\nrabbit_stream_fanout = 1\nrabbit_transient_quorum_queue = 1",
        "[oslo_messaging_rabbit]\nssl_key_file = /k", "[oslo_messaging_rabbit]\nkombu_reconnect_delay = 5",
        "[console]\nreconnect_initial_ms = 3000", "[journal]\nretention_hours = 23",
        "[admin]\nlisten = 0.0.0.0:80", "[admin]\nlisten = example.org:80", "[admin]\nlisten = unix:x",
        "[limits]\nallowed_exchanges = neutron", "compute_alt_topic = compute", "compute_topic = a b",
        "transport_url = http://h/", "transport_url = nonsense", "log_file = relative",
        "[oslo_messaging_notifications]\ndriver = carrier-pigeon", "[simulated]\nfault_set_state = sometimes",
        "[simulated]\nfault_set_state = nth:0", "[simulated]\nfault_set_state = always a b",
        "[simulated]\ndelay_set_state_ms = -1", "rpc_response_timeout = 1e300",
    ])
    func whatDoesNotGoIsAnError(text: String) {
        let result = load(text)
        #expect(result.settings == nil)
        #expect(result.errors.count == 1, "\(result.texts)")
    }

    @Test func remoteAdminAddressNeedsPermission() throws {
        let settings = try settings("[admin]\nlisten = 0.0.0.0:80\nallow_remote = true")
        #expect(settings.admin.listen == .tcp(host: "0.0.0.0", port: 80))
        #expect(load("[admin]\nlisten = 0.0.0.0:80\nenabled = false").errors.isEmpty)
    }

    @Test func checkListsErrorsLast() {
        let text = ConfigurationReport.check(load("[console]\narchives = x\n[libvirt]\na = 1\n[admin]\nlistn = 1\n"))
        let severities = text.split(separator: "\n").map { $0.prefix { $0 != ":" } }
        #expect(severities == ["note", "warning", "error"])
    }

    @Test func suggestsOnlyWhatIsNear() {
        let names = ["archives", "segment_bytes"]
        #expect(NearestName.suggestion(for: "archvies", among: names) == "archives")
        #expect(NearestName.suggestion(for: "segmentbytes", among: names) == "segment_bytes")
        #expect(NearestName.suggestion(for: "something_else", among: names) == nil)
    }
}
