import Foundation
import Support
import TestSupport
import Testing

@Suite struct BrokerTests {
    @Test(.enabled(if: TestBroker.isAvailable, "\(TestBroker.missing)"), .timeLimit(.minutes(5)))
    func virtualHostsLastAsLongAsTheirBody() async throws {
        let broker = try #require(TestBroker.shared)
        let name = try await broker.withVirtualHost { url in
            let name = try #require(url.split(separator: "/").last.map(String.init))
            #expect(try await broker.evaluate("rabbit_vhost:exists(<<\"\(name)\">>)") == "true")
            #expect(try await broker.queueNames(virtualHost: name) == [])
            return name
        }
        #expect(try await broker.evaluate("rabbit_vhost:exists(<<\"\(name)\">>)") == "false")
    }

    @Test(.enabled(if: TestBroker.isAvailable, "\(TestBroker.missing)"), .timeLimit(.minutes(5)))
    func anErrorInTheBodyLeavesNoVirtualHost() async throws {
        struct Planned: Error {}
        let broker = try #require(TestBroker.shared)
        let name = "test-\(UniqueID.make())"
        await #expect(throws: Planned.self) {
            try await broker.withVirtualHost(named: name) { _ in throw Planned() }
        }
        #expect(try await broker.evaluate("rabbit_vhost:exists(<<\"\(name)\">>)") == "false")
    }

    @Test(.enabled(if: PrivateBroker.isAvailable), .timeLimit(.minutes(5)))
    func aPrivateBrokerKeepsItsPortOverCrashesAndRestarts() async throws {
        let directory = try await PrivateBroker.run(tls: true) { broker in
            let port = broker.port
            try await broker.kill()
            await #expect(throws: CommandFailure.self) { try await broker.evaluate("node()") }
            try await broker.start()
            try await broker.restart()
            #expect(try await broker.evaluate("rabbit:is_running()") == "true")
            #expect(broker.port == port)
            #expect(FileManager.default.fileExists(atPath: broker.tlsDirectory + "/ca.pem"))
            return broker.directory
        }
        #expect(!FileManager.default.fileExists(atPath: directory))
        #expect(processes(mentioning: directory) == [])
    }

    @Test(.enabled(if: TestBroker.isRequired))
    func aCompleteRunMissesNothing() {
        #expect(TestBroker.isAvailable)
        #expect(PrivateBroker.isAvailable)
        #expect(PythonPeer.isAvailable)
    }

    @Test func virtualHostNamesArePercentEncoded() {
        #expect(Somewhere().transportURL(virtualHost: "a/b é") == "rabbit://guest:guest@127.0.0.1:5/a%2Fb%20%C3%A9")
        #expect(Somewhere().url == "rabbit://guest:guest@127.0.0.1:5/")
    }

    private struct Somewhere: BrokerControl {
        var directory = "/nowhere"
        var port = 5
    }

    private func processes(mentioning text: String) -> [String] {
        let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return all.filter { Int($0) != nil }.filter {
            let line = (try? Data(contentsOf: URL(filePath: "/proc/\($0)/cmdline"))) ?? Data()
            return String(decoding: line, as: UTF8.self).contains(text)
        }
    }
}
