import Foundation
import Glibc
import HostBackend
import HostConformance
import Support
import TestSupport
import Testing

@testable import QEMUHost

/// Interfaces in a bridge of the test's own.
@Suite(
    .timeLimit(.minutes(5)),
    .enabled(if: QEMUProgram.isInstalled, Comment(rawValue: QEMUProgram.missing)),
    .enabled(if: geteuid() == 0, "only root can make bridges"),
    .enabled(if: access("/dev/net/tun", R_OK | W_OK) == 0, "there is no /dev/net/tun")
)
struct NetworkTests {
    private static func withBridge(_ body: (Bench, String) async throws -> Void) async throws {
        try await withBench { bench in
            let bridge = "vmo\(UniqueID.make().prefix(8))"
            _ = try await runCommand("ip", ["link", "add", bridge, "type", "bridge"])
            do {
                _ = try await runCommand("ip", ["link", "set", bridge, "mtu", "1400", "up"])
                try await body(bench, bridge)
            } catch {
                await remove(bridge)
                throw error
            }
            await remove(bridge)
        }
    }

    /// What is in the bridge goes first.
    private static func remove(_ bridge: String) async {
        for port in ports(of: bridge) { _ = try? await runCommand("ip", ["link", "delete", port]) }
        _ = try? await runCommand("ip", ["link", "delete", bridge])
    }

    private static func ports(of bridge: String) -> [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: "/sys/class/net/\(bridge)/brif")) ?? []
    }

    private static func fact(_ device: String, _ name: String) -> String? {
        try? String(contentsOfFile: "/sys/class/net/\(device)/\(name)", encoding: .utf8)
            .trimmingCharacters(in: .whitespacesAndNewlines)
    }

    private static func interface(_ bridge: String?, type: String = "bridge") -> NetworkInterface {
        NetworkInterface(id: UniqueID.makeDashed(), macAddress: "52:54:00:00:00:01", type: type, bridge: bridge)
    }

    @Test func aRunningMachineIsConnectedToItsBridge() async throws {
        try await Self.withBridge { bench, bridge in
            let host = try await bench.host { $0.network = .tap }
            var spec = try bench.spec()
            let first = Self.interface(bridge)
            spec.interfaces = [first]
            try await host.createMachine(spec)
            for _ in 0..<2 { try await host.plugInterface(first, of: spec.uuid) }
            #expect(Self.ports(of: bridge) == [first.tapName])
            #expect(Self.fact(first.tapName, "mtu") == "1400")
            #expect(Self.fact(first.tapName, "ifalias") == "vmops \(spec.uuid)")
            _ = try await host.setState(spec.uuid, .running, deadline: Bench.limit)
            try await ConsoleReader(host.openConsole(spec.uuid)).until("] ready")
            // A carrier comes when QEMU has opened it.
            #expect(Self.fact(first.tapName, "carrier") == "1")

            var second = Self.interface(bridge)
            second.macAddress = "52:54:00:00:00:02"
            try await host.plugInterface(second, of: spec.uuid)
            try await host.attachInterface(second, to: spec.uuid)
            try await eventually("the second one is open") { Self.fact(second.tapName, "carrier") == "1" }
            let figures = try await host.diagnostics(spec.uuid)["nic_details"]?.arrayValue ?? []
            #expect(figures.map { $0["mac_address"] } == ["52:54:00:00:00:01", "52:54:00:00:00:02"])
            #expect(figures.allSatisfy { $0["rx_octets"]?.intValue != nil && $0["tx_drop"]?.intValue != nil })

            try await host.deleteMachine(spec.uuid)
            for interface in [first, second] {
                for _ in 0..<2 { try await host.unplugInterface(interface, of: spec.uuid) }
            }
            #expect(Self.ports(of: bridge).isEmpty)
            #expect(Self.fact(first.tapName, "mtu") == nil)
        }
    }

    /// A restart of the host takes all devices with it.
    @Test func aStartMakesWhatIsMissing() async throws {
        try await Self.withBridge { bench, bridge in
            let host = try await bench.host { $0.network = .tap }
            var spec = try bench.spec()
            spec.interfaces = [Self.interface(bridge)]
            try await host.createMachine(spec)
            _ = try await host.setState(spec.uuid, .running, deadline: Bench.limit)
            #expect(Self.ports(of: bridge) == [spec.interfaces[0].tapName])
            try await host.deleteMachine(spec.uuid)
            try await host.unplugInterface(spec.interfaces[0], of: spec.uuid)
        }
    }

    @Test func whatFailsLeavesNothingBehind() async throws {
        try await Self.withBridge { bench, bridge in
            let host = try await bench.host { $0.network = .tap }
            let uuid = newUUID()
            func refused(_ interface: NetworkInterface) async -> BackendError.Code? {
                await code { try await host.plugInterface(interface, of: uuid) }
            }
            let lost = Self.interface("no\(bridge)")
            #expect(await refused(lost) == .notFound)
            #expect(Self.fact(lost.tapName, "mtu") == nil)
            #expect(await refused(Self.interface(nil)) == .invalidArgument)
            #expect(await refused(Self.interface("a b")) == .invalidArgument)
            #expect(await refused(Self.interface("-help")) == .invalidArgument)
            #expect(await refused(Self.interface(bridge, type: "ovs")) == .unimplemented)
            // A bridge that takes no port any more.
            var impossible = Self.interface(bridge)
            impossible.deviceName = bridge
            #expect(await refused(impossible) == .conflict)
            #expect(Self.ports(of: bridge).isEmpty)
        }
    }

    @Test func devicesOfOthersAreLeftAlone() async throws {
        try await Self.withBridge { bench, bridge in
            let host = try await bench.host { $0.network = .tap }
            let (mine, other) = (newUUID(), newUUID())
            let interface = Self.interface(bridge)
            try await host.plugInterface(interface, of: other)
            #expect(await code { try await host.plugInterface(interface, of: mine) } == .conflict)
            try await host.unplugInterface(interface, of: mine)
            #expect(Self.ports(of: bridge) == [interface.tapName])
            try await host.unplugInterface(interface, of: other)

            // The operator's own device is used as it is and stays.
            var given = Self.interface(nil, type: "tap")
            given.deviceName = "vmo\(UniqueID.make().prefix(8))t"
            _ = try await runCommand("ip", ["tuntap", "add", "dev", given.tapName, "mode", "tap"])
            try await host.plugInterface(given, of: mine)
            try await host.unplugInterface(given, of: mine)
            #expect(Self.fact(given.tapName, "ifalias") == "")
            _ = try await runCommand("ip", ["link", "delete", given.tapName])

            // Made, and not marked yet when the worker was killed.
            _ = try await runCommand("ip", ["tuntap", "add", "dev", interface.tapName, "mode", "tap"])
            try await host.plugInterface(interface, of: mine)
            #expect(Self.fact(interface.tapName, "ifalias") == "vmops \(mine)")
            try await host.unplugInterface(interface, of: mine)
            #expect(Self.fact(interface.tapName, "mtu") == nil)
        }
    }
}
