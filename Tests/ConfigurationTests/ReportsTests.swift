import Foundation
import Testing

@testable import Configuration

@Suite struct ReportsTests {
    private static let odd = """
        hosts = a,b
        my_ip = $$dollar \\$ "quoted"
        transport_url = rabbit://user:hunter2@h1:5672,other:hunter3@h2/vh?heartbeat_timeout_threshold=10
        [oslo_messaging_notifications]
        driver = log
        driver = messaging
        transport_url = rabbit://user:hunter5@h/
        [host:b]
        console.archives = 3
        """

    @Test func secretsAreNotPrinted() throws {
        let settings = try settings(Self.odd, environment: ["OS_CONSOLE__SPIN_LIMIT": "2"])
        let text = ConfigurationReport.print(settings)
        #expect(!text.contains("hunter"))
        #expect(text.contains("# test.conf:3\ntransport_url = rabbit://***@h1:5672,***@h2/vh?***\n"))
        #expect(text.contains("# environment OS_CONSOLE__SPIN_LIMIT\nspin_limit = 2\n"))
        #expect(text.contains("# default\narchives = 1\n"))
        #expect(text.contains("[host:b]\n# test.conf:9\nconsole.archives = 3\n"))
        #expect(!"\(settings)".contains("hunter"))
        var dumped = ""
        dump(settings.messaging, to: &dumped)
        #expect(!dumped.contains("hunter"))
    }

    @Test func secretsAreNotInProblems() {
        let result = load("transport_url = amqp://u:hunter2@h/\nlog_file = $transport_url\n")
        #expect(result.errors.count == 2)
        #expect(!result.texts.joined().contains("hunter2"))
    }

    @Test func printedConfigurationReadsBack() throws {
        let first = try settings(Self.odd)
        let again = try settings(ConfigurationReport.print(first))
        let difference = Settings.reloadDifference(first, again)
        let changed = (difference.applied + difference.needsRestart).map(\.option)
        #expect(changed == ["DEFAULT.transport_url", "oslo_messaging_notifications.transport_url"])
    }

    @Test func sampleHoldsEveryOptionAndChangesNothing() throws {
        let sample = ConfigurationReport.sample()
        for definition in OptionRegistry.standard.definitions {
            #expect(sample.contains("\n#\(definition.name) ="), "\(definition.option)")
        }
        #expect(load(sample).problems == [])
        #expect(sample.split(separator: "\n").allSatisfy { $0.count <= 100 })
        #expect(sample.contains("# Deprecated group/name - [DEFAULT]/rpc_thread_pool_size\n"))
        #expect(sample.contains("# Possible values:\n# simulated\n# qemu\n# plugin\n"))
    }

    /// With the defaults uncommented the sample is a valid file with the same meaning.
    @Test func sampleDefaultsAreTheDefaults() throws {
        let lines = ConfigurationReport.sample().split(separator: "\n", omittingEmptySubsequences: false)
        let uncommented = lines.map { line -> Substring in
            let isOption =
                line.hasPrefix("#") && !line.hasPrefix("# ") && line.contains(" =")
                && !line.contains("<") && !line.contains("$host")
            return isOption ? line.dropFirst() : line
        }
        let text = uncommented.joined(separator: "\n").replacingOccurrences(of: "[host:NAME]", with: "")
        let body = text.components(separatedBy: "# Options of one host")[0]
        let result = load(body)
        let settings = try #require(result.settings, "\(result.problems)")
        #expect(Settings.reloadDifference(try defaults(), settings).isEmpty)
    }

    private func defaults() throws -> Settings { try settings() }

    @Test func documentListsEveryOption() throws {
        try checkGenerated("docs/configuration.md", from: ReferenceDocument.markdown())
    }

    @Test func schemaIsTheRegistrys() throws {
        try checkGenerated("schemas/configuration.schema.json", from: ConfigurationSchema.text())
        let data = Data(ConfigurationSchema.text().utf8)
        let schema = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        let groups = try #require(schema["properties"] as? [String: Any])
        #expect(Set(groups.keys) == Set(OptionRegistry.standard.groups))
    }

    /// With VMOPS_UPDATE_DOCUMENTS=1 the part that is out of date is written instead, between its markers or whole.
    private func checkGenerated(_ path: String, from text: String) throws {
        let file = repository.appendingPathComponent(path)
        let isUpdate = ProcessInfo.processInfo.environment["VMOPS_UPDATE_DOCUMENTS"] == "1"
        let present = (try? String(contentsOf: file, encoding: .utf8)) ?? ""
        let (begin, end) = ("<!-- options: begin -->\n", "<!-- options: end -->")
        var wanted = text
        if let start = present.range(of: begin), let stop = present.range(of: end) {
            wanted = present.replacingCharacters(in: start.upperBound..<stop.lowerBound, with: "\n\(text)\n")
        }
        if isUpdate { try wanted.write(to: file, atomically: true, encoding: .utf8) }
        #expect(isUpdate || present == wanted, "\(path) is out of date: run with VMOPS_UPDATE_DOCUMENTS=1")
    }
}
