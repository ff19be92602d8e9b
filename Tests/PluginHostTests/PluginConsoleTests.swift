import Foundation
import HostBackend
import PluginProtocol
import Support
import TestSupport
import Testing

@testable import PluginHost

/// Consoles over the wire: every byte, or a word about what is missing.
@Suite(.timeLimit(.minutes(10)))
struct PluginConsoleTests {
    private func stream(_ host: PluginHost, _ uuid: InstanceUUID) async throws -> any ConsoleStream {
        guard case .stream(let stream) = try await host.openConsole(uuid) else {
            throw ConditionNotMet(description: "no stream")
        }
        return stream
    }

    /// Reads until so many bytes have come.
    private func read(_ stream: any ConsoleStream, _ count: Int) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count, let chunk = try await stream.next() { bytes += chunk }
        return bytes
    }

    @Test func moreThanTheCreditComesAsItIsRead() async throws {
        try await PluginBench.run { bench, host in
            let spec = try await bench.running(host)
            let console = try await stream(host, spec.uuid)
            let piece = (0..<100_000).map { UInt8($0 & 0xFF) }
            for _ in 0..<10 {
                try await host.writeConsole(spec.uuid, piece)
                #expect(try await read(console, piece.count) == piece)
            }
            #expect(console.takeLosses() == [])
            await console.close()
        }
    }

    @Test func aPluginThatSendsMoreThanItsCreditIsEnded() async throws {
        try await PluginBench.run { bench, host in
            let spec = try await bench.running(host)
            let console = try await stream(host, spec.uuid)
            let piece = [UInt8](repeating: 0x41, count: 200_000)
            for _ in 0..<2 { _ = await failure { try await host.writeConsole(spec.uuid, piece) } }
            try await eventually("another process") { bench.starts.count > 1 && host.status.state == .running }
            #expect(bench.log.has("more console bytes than the credit allowed"))
            // What came before is there all the same, and then the end is told.
            #expect(try await console.next() == piece)
            await #expect(throws: BackendError.self) { while try await console.next() != nil {} }
        }
    }

    @Test func aStreamThatWasCutOffLeavesAMark() async throws {
        try await PluginBench.run { bench, host in
            let spec = try await bench.running(host)
            let first = try await stream(host, spec.uuid)
            try await host.writeConsole(spec.uuid, Array("one".utf8))
            #expect(try await read(first, 3) == Array("one".utf8))
            kill(try #require(bench.starts.last), SIGKILL)
            await #expect(throws: BackendError.self) { while try await first.next() != nil {} }
            try await eventually("it runs again") { bench.starts.count > 1 && host.status.state == .running }
            let second = try await stream(host, spec.uuid)
            try await host.writeConsole(spec.uuid, Array("two".utf8))
            #expect(try await read(second, 3) == Array("two".utf8))
            #expect(second.takeLosses() == [.unknown])
        }
    }

    @Test func aResumableOneGoesOnWhereItEnded() async throws {
        try await PluginBench.run(PluginBench.settings(options: ["resumable": "yes"])) { bench, host in
            let spec = try await bench.running(host)
            let first = try await stream(host, spec.uuid)
            try await host.writeConsole(spec.uuid, Array("one".utf8))
            _ = try await read(first, 3)
            kill(try #require(bench.starts.last), SIGKILL)
            await #expect(throws: BackendError.self) { while try await first.next() != nil {} }
            try await eventually("it runs again") { bench.starts.count > 1 && host.status.state == .running }
            let second = try await stream(host, spec.uuid)
            #expect(second.takeLosses() == [])
            // Closed by us, what was not read yet comes again.
            await second.close()
            let reopened = try await stream(host, spec.uuid)
            let third = try #require(reopened as? PluginConsoleStream)
            // What it printed at its start, and "one".
            #expect(third.offset == 18)
        }
    }

    @Test func aMachineThatRanBeforeTheWorkerCameHasAMark() async throws {
        try await PluginBench.run { bench in
            let spec = try bench.spec()
            try await bench.withHost(PluginBench.settings()) { host in
                try await host.createMachine(spec)
                _ = try await host.setState(spec.uuid, .running, deadline: .seconds(20))
            }
            try await bench.withHost(PluginBench.settings()) { host in
                let console = try await stream(host, spec.uuid)
                #expect(console.takeLosses() == [.unknown])
            }
        }
    }

    @Test func manySmallLossesAreOne() async throws {
        try await PluginBench.run { bench, host in
            let spec = try await bench.running(host)
            let console = try await stream(host, spec.uuid)
            try bench.misbehave("machine.get drops once")
            #expect(try await host.machine(spec.uuid).state == .running)
            try await host.writeConsole(spec.uuid, Array("on".utf8))
            #expect(try await read(console, 2) == Array("on".utf8))
            #expect(console.takeLosses() == [.bytes(50_000)])
        }
    }

    @Test func manySmallPiecesWaitTogether() async throws {
        try await PluginBench.run { bench, host in
            let spec = try await bench.running(host)
            let console = try await stream(host, spec.uuid)
            let text = Array("many small pieces".utf8)
            for byte in text { try await host.writeConsole(spec.uuid, [byte]) }
            #expect(try await console.next() == text)
        }
    }

    @Test func aWorkerThatEndedInOrderGoesOnWhereItWas() async throws {
        try await PluginBench.run { bench in
            let settings = PluginBench.settings(options: ["resumable": "yes"])
            let spec = try bench.spec()
            try await bench.withHost(settings) { host in
                try await host.createMachine(spec)
                _ = try await host.setState(spec.uuid, .running, deadline: .seconds(20))
                let console = try await stream(host, spec.uuid)
                try await host.writeConsole(spec.uuid, Array("one".utf8))
                #expect(try await read(console, 3) == Array("one".utf8))
                await console.close()
            }
            let kept = bench.directory + "/consoles.json"
            #expect(FileManager.default.fileExists(atPath: kept))
            try await bench.withHost(settings) { host in
                // After a worker that is killed now nothing is known.
                #expect(!FileManager.default.fileExists(atPath: kept))
                let reopened = try await stream(host, spec.uuid)
                let console = try #require(reopened as? PluginConsoleStream)
                #expect(console.offset == 18)
                #expect(console.takeLosses() == [])
            }
            try FileManager.default.removeItem(atPath: kept)
            try await bench.withHost(settings) { host in
                let console = try await stream(host, spec.uuid)
                #expect(console.takeLosses() == [.unknown])
            }
        }
    }

    @Test func aHostilePathIsNotOpened() throws {
        for path in ["/etc/passwd", "/dev/zero", "relative", "/nowhere/at/all"] {
            #expect(throws: BackendError.self) { try _ = PluginConsolePath.open(path, owner: nil) }
        }
    }
}
