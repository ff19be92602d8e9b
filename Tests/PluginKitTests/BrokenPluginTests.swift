import Foundation
import HostConformance
import PluginKit
import TestSupport
import Testing

/// For each kind of check a plugin that is wrong in just that, which the check has to find.
///
/// In a few lanes: all at once they would be too slow for what each expects of time, and most of the time they wait.
@Suite(.timeLimit(.minutes(5))) struct BrokenPluginTests {
    private static let lanes = 4

    /// What `Tests/Peers/plugin_mangler.py` makes wrong, and the check that has to see it.
    static let defects: [(defect: String, check: String)] = [
        ("nonce", "the handshake is complete"),
        ("incomplete", "the handshake is complete"),
        ("early", "the plugin waits for a worker that is slow"),
        ("version", "of several versions the highest common one is chosen"),
        ("exit-status", "without a common version the plugin says its own and exits with status 76"),
        ("exit-status", "after goodbye and end of file the plugin exits with status 0"),
        ("host-id", "the host keeps its id over connections"),
        ("garbage", "a frame may come byte by byte, and many at once"),
        ("unknown-type", "frames of an unknown type are ignored"),
        ("unknown-kind", "messages of an unknown kind are ignored"),
        ("strict", "unknown members are ignored, and null is the same as not there"),
        ("small-frames", "a message as large as the plugin's max_frame is read"),
        ("long-frames", "a frame longer than max_frame ends the connection"),
        ("empty-frames", "an empty frame ends the connection"),
        ("non-object", "a message that is no JSON object ends the connection"),
        ("codes", "an unknown method is answered with unimplemented"),
        ("ids", "an id of 64 bits comes back as it was"),
        ("twice", "each of many requests at once is answered exactly once"),
        ("no-pong", "a ping is answered at once, whatever else goes on"),
        ("repeat", "a request repeated with its idempotency key succeeds again"),
        ("cancel", "a cancelled request is answered exactly once, with cancelled or its result"),
        ("deadline", "a deadline that cannot be met is answered all the same"),
        ("lenient", "requests that make no sense are refused, and the plugin goes on"),
        ("error-shape", "requests that make no sense are refused, and the plugin goes on"),
        ("details", "invalid_state says which state it is"),
        ("secrets", "what is secret stands in no error and on no standard error"),
        ("names", "names that are none are refused"),
        ("pages", "machine.list in pages lists each machine once"),
        ("figures", "the host can be used, and says what it is"),
        ("delete", "a machine is defined off, listed once, and gone after its deletion"),
        ("state", "running and off are reached, and reached again"),
        ("list", "many machines are all listed, each once"),
        ("incarnation", "a machine that is deleted and defined again has a later incarnation"),
        ("refusal", "pause: from running, to running and to off"),
        ("overwrite", "blank disks have the size asked for and are never overwritten"),
        ("size", "blank disks have the size asked for and are never overwritten"),
        ("attach", "a disk is attached and detached while the machine runs, each twice"),
        ("answer", "a request to shut down is answered and not waited for"),
        ("order", "events come in order and carry the incarnation"),
        ("sequence", "events come in order and carry the incarnation"),
        ("time", "events have uuid, incarnation and time, and count anew in each connection"),
        ("lost-byte", "without credit no more than 256 KiB come, and nothing is lost unsaid"),
        ("late-bytes", "everything that was printed comes before the stream ends with 'stopped'"),
        ("reason", "everything that was printed comes before the stream ends with 'stopped'"),
        ("closed", "a closed console ends with 'closed', and can be opened again"),
        ("takeover", "a second console.open ends the first stream, or is refused if it must not"),
        ("credit", "without credit no more than 256 KiB come, and nothing is lost unsaid"),
        ("deaf", "at the end of its input the plugin exits and leaves its machines alone"),
        ("sigpipe", "a worker that reads no more does not end it by the broken-pipe signal"),
        ("amnesia", "a machine that runs outlives the plugin's being killed"),
        ("amnesia", "machines outlive their worker"),
    ]

    /// Of a host that moves machines, and has one that is not ours.
    @Test(arguments: [
        ("left-behind", "a machine moves to another host, and its console goes on there"),
        ("phases", "a machine moves to another host, and its console goes on there"),
        ("lost", "a cancelled migration leaves the machine running at one host, and it can move again"),
        ("lost", "a migration that fails leaves the machine running where it was"),
        ("left", "the stream of a machine that leaves ends with 'migrated'"),
        ("told-stopped", "events tell at both hosts that a machine has moved, and of no other end or beginning"),
        ("adopts", "a machine that is not ours is listed without a uuid, and left alone"),
        ("tramples", "a machine that is not ours is listed without a uuid, and left alone"),
    ])
    func ofAHostThatMovesMachinesIsFound(defect: String, check: String) async throws {
        var settings = PluginsUnderTest.simulated
        // Slow enough to be cancelled.
        settings.options["migration_ms"] = defect == "lost" ? "2000" : "50"
        let report = try await report(defect, check, settings)
        #expect(report.failures.map(\.name) == [check], "\(defect): \(report.lines.map(\.outcome))")
    }

    @Test(arguments: 0..<lanes) func eachIsFound(lane: Int) async throws {
        for (defect, check) in stride(from: lane, to: Self.defects.count, by: Self.lanes).map({ Self.defects[$0] }) {
            let report = try await report(defect, check, PluginsUnderTest.python)
            #expect(report.failures.map(\.name) == [check], "\(defect): \(report.lines.map(\.outcome))")
            #expect(!report.isPassed, "\(defect)")
        }
    }

    @Test(arguments: ["noise", "status", "no-document"]) func ofOneShotIsFound(defect: String) async throws {
        let check = "the hello of a one-shot plugin is complete"
        let report = try await report(defect, check, PluginsUnderTest.sleepers)
        #expect(report.failures.map(\.name) == [check], "\(report.lines.map(\.outcome))")
    }

    /// What only should be so is told, and is no failure.
    @Test(arguments: [
        ("cookie", "started by hand it says what it is and exits with status 1"),
        ("late", "events come within half a second"),
    ])
    func shouldIsAdvice(defect: String, check: String) async throws {
        let report = try await report(defect, check, PluginsUnderTest.python)
        #expect(report.failures.isEmpty, "\(report.failures.map(\.outcome))")
        guard case .advised = report.lines.first?.outcome else {
            Issue.record("\(report.lines.map(\.outcome))")
            return
        }
    }

    @Test func aCommandThatIsNoneFailsTheHandshakeAndSkipsTheRest() async throws {
        for command in [["/no/such/program"], ["/bin/cat"], ["/bin/false"], ["/bin/echo", "hello"]] {
            let report = try await PluginKitRun(
                PluginKitSettings(command: command),
                only: ["4", "handshake is complete"]
            )
            .run { _ in }
            #expect(report.failures.first?.name == "the handshake is complete", "\(command)")
            #expect(report.skipped.count == report.lines.count - 1, "\(command)")
        }
    }

    private func report(_ defect: String, _ check: String, _ plugin: PluginKitSettings) async throws -> PluginKitReport
    {
        var settings = plugin
        let mangler = Checkout.peers.appending(path: "plugin_mangler.py").path
        settings.command = [Checkout.python, mangler, defect] + settings.command
        settings.killRounds = 1
        settings.exitLimit = .seconds(4)
        return try await PluginKitRun(settings, only: [check]).run { _ in }
    }
}
