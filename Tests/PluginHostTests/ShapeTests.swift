import Foundation
import HostBackend
import PluginHost
import PluginProtocol
import Support
import TestSupport
import Testing

/// The shapes other than a child that stays.
@Suite(.timeLimit(.minutes(10)))
struct ShapeTests {
    @Test func aOneShotPluginServesRequestsAndIsPolled() async throws {
        let settings = PluginBench.settings(shape: .oneshot, options: ["events": "no"])
        try await PluginBench.run(settings) { bench, host in
            #expect(host.status.state == .running, "\(bench.log.all)")
            let spec = try await bench.running(host)
            #expect(try await host.machine(spec.uuid).state == .running)
            #expect(await failure { _ = try await host.diagnostics(spec.uuid) } == .unimplemented)
            let events = host.events()
            let machines = bench.directory + "/plugin/machines.json"
            let text = try String(contentsOfFile: machines, encoding: .utf8)
            try text.replacing("running", with: "off").write(toFile: machines, atomically: true, encoding: .utf8)
            for await event in events where event.uuid == spec.uuid && event.kind != .started {
                #expect(event.kind == .stopped(.guest))
                break
            }
            try bench.misbehave("machine.get exit once")
            let error = await #expect(throws: BackendError.self) { _ = try await host.machine(spec.uuid) }
            #expect(error?.code == .internal)
            #expect(error?.message.contains("no luck today") == true)
            try bench.misbehave("machine.get garbage once")
            #expect(await failure { _ = try await host.machine(spec.uuid) } == .internal)
        }
    }

    @Test func aOneShotPluginThatHangsIsEnded() async throws {
        let settings = PluginBench.settings(shape: .oneshot, options: ["events": "no"]) {
            $0.requestTimeout = .seconds(3)
            $0.pollInterval = .seconds(60)
        }
        try await PluginBench.run(settings) { bench, host in
            let spec = try await bench.running(host)
            try bench.misbehave("machine.get hang once")
            #expect(await failure { _ = try await host.machine(spec.uuid) } == .unavailable)
            #expect(try await host.machine(spec.uuid).state == .running)
        }
    }

    @Test func aServiceIsReachedByItsSocket() async throws {
        try await PluginBench.run { bench in
            let socket = bench.directory + "/service.sock"
            let settings = PluginBench.settings {
                $0.shape = .socket
                $0.socket = socket
            }
            // One connection after the other, each served by the plugin on its standard streams.
            let service = """
                import os, socket, subprocess, sys
                listener = socket.socket(socket.AF_UNIX)
                listener.bind(sys.argv[1] + ".new")
                listener.listen()
                os.rename(sys.argv[1] + ".new", sys.argv[1])
                while True:
                    peer, _ = listener.accept()
                    environment = dict(os.environ, VMOPS_PLUGIN="1")
                    subprocess.run([sys.executable, sys.argv[2]], stdin=peer, stdout=peer, env=environment)
                    peer.close()
                """
            let process = Process()
            process.executableURL = URL(filePath: Checkout.python)
            process.arguments = ["-c", service, socket, Checkout.peers.appending(path: "faulty_plugin.py").path]
            process.standardInput = FileHandle.nullDevice
            process.standardOutput = FileHandle.nullDevice
            process.standardError = FileHandle.nullDevice
            try process.run()
            // It may have inherited a mask that keeps the gentler signals out.
            defer {
                kill(process.processIdentifier, SIGKILL)
                process.waitUntilExit()
            }
            try await bench.withHost(settings) { host in
                try await eventually("the service is there") { host.status.state == .running }
                let spec = try await bench.running(host)
                try bench.misbehave("machine.diagnostics exit once")
                #expect(await failure { _ = try await host.diagnostics(spec.uuid) } == .unavailable)
                try await eventually("the next connection") { host.status.state == .running && bench.starts.count > 1 }
                #expect(try await host.machine(spec.uuid).state == .running)
            }
        }
    }
}
