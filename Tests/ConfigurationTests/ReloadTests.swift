import Testing

@testable import Configuration

@Suite struct ReloadTests {
    @Test func tellsWhatTakesEffectFromWhatWaits() throws {
        let old = try settings("hosts = a,b\nlog_level = info\ncompute_topic = x\n[console]\narchives = 1\n")
        let new = try settings(
            "hosts = a,b\nlog_level = debug\ncompute_topic = y\n[console]\narchives = 4\n[limits]\nmax_queue = 3\n"
                + "[oslo_messaging_rabbit]\nheartbeat_rate = 2\n"
        )
        let (merged, difference) = old.reloading(new)
        #expect(difference.applied.map(\.option) == ["DEFAULT.log_level", "console.archives", "limits.max_queue"])
        #expect(difference.needsRestart.map(\.description) == ["DEFAULT.compute_topic: x → y"])
        #expect(merged.log.level == .debug)
        #expect(merged.console.archives == 4)
        #expect(merged.hosts.map(\.console.archives) == [4, 4])
        #expect(merged.limits.maxQueue == 3)
        #expect(merged.messaging.computeTopic == "x")
    }

    @Test func removedLinesGoBackToTheDefault() throws {
        let old = try settings("hosts = a\n[console]\narchives = 9\n[host:a]\nconsole.segment_bytes = 9000\n")
        let (merged, difference) = old.reloading(try settings("hosts = a"))
        #expect(difference.applied.map(\.option) == ["host:a.console.segment_bytes", "console.archives"])
        #expect(merged.hosts[0].console.segmentBytes == 524_288)
        #expect(merged.console.archives == 1)
    }

    @Test func newHostsWaitForARestart() throws {
        let old = try settings("hosts = a")
        let new = try settings("hosts = a,b\n[host:a]\nbackend = qemu\n[host:b]\nconsole.archives = 2")
        let (merged, difference) = old.reloading(new)
        #expect(merged.hosts.map(\.name) == ["a"])
        #expect(merged.hosts[0].backend == .simulated)
        #expect(
            difference.needsRestart.map(\.option)
                == ["DEFAULT.hosts", "DEFAULT.backend"].map {
                    $0 == "DEFAULT.backend" ? "host:a.DEFAULT.backend" : $0
                }
        )
        #expect(difference.applied.isEmpty)
    }

    @Test func changedSecretIsNamedNotShown() throws {
        let old = try settings("transport_url = rabbit://u:hunter2@h/")
        let difference = Settings.reloadDifference(old, try settings("transport_url = rabbit://u:hunter3@h/"))
        #expect(
            difference.needsRestart.map(\.description) == ["DEFAULT.transport_url: rabbit://***@h/ → rabbit://***@h/"]
        )
    }

    @Test func sameFileChangesNothing() throws {
        let text = "hosts = a\n[host:a]\nconsole.archives = 2"
        #expect(Settings.reloadDifference(try settings(text), try settings(text)).isEmpty)
    }
}
