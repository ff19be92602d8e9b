import JSONCodec
import Support
import TestSupport
import Testing

/// What happens to instances is told to a stock Python listener, under Nova's names.
@Suite(.needsBroker, .needsPython, .timeLimit(.minutes(5)))
struct NotificationTests {
    private static let settings = DaemonSettings(
        hosts: ["host-a"],
        options: ["oslo_messaging_notifications": ["driver": "messagingv2"]]
    )

    @Test(arguments: OsloVersion.allCases)
    func operationsAreToldWithStartEndAndError(version: OsloVersion) async throws {
        try await Interop.run(version, Self.settings) { interop in
            let failing = NewInstance("doomed", ["metadata": ["sim.fault.create_machine": "always internal"]])
            let instance = NewInstance()
            let context: JSONObject = ["context": ["request_id": "req-7", "auth_token": "very secret"]]
            // Sent before anybody listens: kept in the queues.
            let spawned = try await interop.client.call("spawn", ["instance": instance.argument], context)
            #expect(spawned.raised == nil)
            try await Self.listen(interop.daemon.url, version) { listener in
                for phase in ["start", "end"] {
                    let told = try await listener.next(about: instance)
                    #expect(told["event"] == .string("instance.create.\(phase)"))
                    #expect(told["priority"] == "info")
                    #expect(told["publisher"] == "compute.host-a")
                    #expect(told["payload"]?["display_name"] == "web")
                    #expect(told["payload"]?["request_id"] == "req-7")
                    #expect(!"\(told)".contains("very secret"))
                }
                for (method, event) in [("pause", "pause"), ("unpause", "unpause"), ("power_off", "power_off")] {
                    let answer = try await interop.client.call(method, ["instance": instance.reference])
                    #expect(answer.raised == nil, "\(answer.fields)")
                    for phase in ["start", "end"] {
                        let told = try await listener.next(about: instance)
                        #expect(told["event"] == .string("instance.\(event).\(phase)"))
                    }
                }
                let failed = try await interop.client.call("spawn", ["instance": failing.argument])
                #expect(failed.raised != nil)
                // Of two queues, in no order.
                var events: [String: JSONValue] = [:]
                while events.count < 2 {
                    let told = try await listener.next(about: failing)
                    events[told["event"]?.stringValue ?? ""] = told
                }
                let error = try #require(events["instance.create.error"])
                #expect(events["instance.create.start"]?["priority"] == "info")
                #expect(error["priority"] == "error")
                #expect(error["payload"]?["fault"]?["module_name"] == "nova.exception")
                let time = error["metadata"]?["timestamp"]?.stringValue ?? ""
                #expect(time.wholeMatch(of: /\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}/) != nil, "\(time)")
            }
        }
    }

    @Test func withoutADriverNothingIsDeclared() async throws {
        try await DaemonProcess.run(DaemonSettings(hosts: ["host-a"])) { daemon in
            let broker = try #require(TestBroker.shared)
            let queues = try await broker.queueNames(virtualHost: daemon.virtualHost)
            #expect(!queues.contains { $0.hasPrefix("notifications") })
        }
    }

    /// `Tests/Peers/notification_listener.py` as it tells what it hears.
    struct Listener: Sendable {
        let process: LineProcess

        /// The next notification about an instance; those about others and spontaneous updates are passed over.
        func next(about instance: NewInstance) async throws -> JSONValue {
            while true {
                let told = try JSONReader.read(Array(try await process.readLine().utf8))
                guard told["payload"]?["uuid"] == .string(instance.uuid), told["event"] != "instance.update" else {
                    continue
                }
                return told
            }
        }
    }

    static func listen(
        _ url: String,
        _ version: OsloVersion,
        _ body: (Listener) async throws -> Void
    ) async throws {
        let arguments = ["--url", url, "--topic", "notifications"]
        try await PythonPeer.run("notification_listener.py", arguments, version: version) { process in
            #expect(try await process.readLine(timeout: .seconds(60)).contains("ready"))
            try await body(Listener(process: process))
        }
    }
}
