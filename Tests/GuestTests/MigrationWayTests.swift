import DaemonBench
import Foundation
import Glibc
import OsloMessaging
import Subprocess
import Support
import TestSupport
import Testing

/// What comes along with a real machine, by which way it comes, and how it goes on where it was after all.
@Suite(.enabled(if: GuestBench.isPossible, Comment(rawValue: GuestBench.missing)), .timeLimit(.minutes(10)))
struct MigrationWayTests {
    /// QEMU takes no machine that has not the very devices of the one that is sent.
    @Test func volumesAndInterfacesComeAlong() async throws {
        try await withTemporaryDirectory { directory in
            let volume = directory + "/volume"
            try Data(count: 8 << 20).write(to: URL(filePath: volume))
            let connection: JSONValue = [
                "driver_volume_type": "file", "serial": "11111111-0000-4000-8000-00000000000a",
                "data": ["device_path": .string(volume), "format": "raw"],
            ]
            let attachment: JSONObject = ["connection_info": connection, "mountpoint": "/dev/sdb"]
            let vif: JSONValue = [
                "id": "11111111-0000-4000-8000-00000000000b", "address": "52:54:00:00:00:02", "type": "bridge",
            ]
            let options = ["qemu": ["network": "user"], "limits": ["volume_paths": directory]]
            try await GuestMigration.run(both: options) { hosts in
                let instance = try await hosts.spawn()
                func perform(_ method: String, _ args: JSONObject, on host: String) async throws {
                    var args = args
                    args["instance"] = instance.reference["instance"]
                    try await hosts.bench.call(method, args, on: host)
                }
                try await perform("attach_interface", ["vif": vif], on: "host-a")
                try await perform("attach_volume", attachment, on: "host-a")
                try await hosts.migrate(instance)
                try await hosts.expectOnly(instance, at: "host-b")
                // It is the destination's: the source's lock on it is gone.
                try await perform("detach_volume", attachment, on: "host-b")
                try await perform("attach_volume", attachment, on: "host-b")
                try await hosts.migrate(instance, from: "host-b")
                try await hosts.expectOnly(instance, at: "host-a")
                // Turned off, they come along as well.
                let args = instance.reference.merging(["dest": "host-b", "timeout": 0])
                let moved = try await hosts.bench.call("resize_instance", args, on: "host-a", timeout: .seconds(60))
                #expect(moved["host"] == "host-b" && moved["state"] == "running")
                try await hosts.bench.call("confirm_resize", instance.reference, on: "host-b")
                try await perform("detach_volume", attachment, on: "host-b")
                #expect(try QEMU.processes(uuid: instance.uuid).count == 1)
            }
        }
    }

    /// Certificates for another address than the one of IPv6 that the machine comes to, and few ports to come by.
    @Test func aMachineComesByTheAddressThePortsAndTheNameThatWereSet() async throws {
        try await withTemporaryDirectory { directory in
            try await HostCertificates.make(["host-a", "host-b"], address: "192.0.2.1", in: directory)
            let ports = try PortRange.free(2)
            let source = HostCertificates.options("host-a", in: directory).merging(["address": "::1"]) { $1 }
            let unnamed = HostCertificates.options("host-b", in: directory).merging(["address": "::1"]) { $1 }
            let few = unnamed.merging(["tls_name": "host-b", "ports": "\(ports.lowerBound)"]) { $1 }
            let right = few.merging(["ports": "\(ports.lowerBound)-\(ports.upperBound)"]) { $1 }
            try await GuestMigration.run(
                both: GuestMigration.slow,
                source: ["migration": source],
                destination: ["migration": unnamed]
            ) { hosts in
                let instance = try await hosts.spawn()
                #expect(try await hosts.failure(instance) == "MigrationError")
                try await hosts.expectOnly(instance, at: "host-a")
                // One port is not enough for memory and disks.
                try await hosts.change("host-b", few, insteadOf: unnamed)
                #expect(try await hosts.failure(instance) == "MigrationError")
                try await hosts.expectOnly(instance, at: "host-a")
                try await hosts.change("host-b", right, insteadOf: few)
                try await hosts.type("d8\n", instance, on: "host-a")
                async let outcome = hosts.failure(instance)
                try await hosts.inTheCopy(instance)
                #expect(try PortRange.listening(ports) == Set(ports))
                try await hosts.type("d0\n", instance, on: "host-a")
                #expect(try await outcome == nil)
                try await hosts.expectOnly(instance, at: "host-b")
                try await eventually("nobody listens any more") { try PortRange.listening(ports).isEmpty }
            }
        }
    }

    /// The machine has left for a host that is gone, and its QEMU here still has all of it.
    @Test func anOperatorTakesBackWhatWentToAHostThatIsGone() async throws {
        try await GuestMigration.run(source: GuestMigration.slow) { hosts in
            let instance = try await hosts.spawn()
            try await hosts.type("w20\nd8\n", instance, on: "host-a")
            let process = try #require(try QEMU.processes(uuid: instance.uuid).first)
            async let outcome = hosts.migrate(instance, timeout: .seconds(90))
            try await hosts.inTheCopy(instance)
            try hosts.destination.signal(.suspend)
            try await hosts.type("d0\n", instance, on: "host-a")
            try await eventually(timeout: .seconds(30), "the machine has left") {
                try await hosts.state(instance, on: "host-a") == nil
            }
            try await hosts.destination.kill()
            for other in try QEMU.processes(uuid: instance.uuid) where other != process { Glibc.kill(other, SIGKILL) }
            #expect(try await outcome["state"] == "migrating-in")
            let args = instance.reference.merging(["run_here": true])
            let info = try await hosts.bench.call("give_up_live_migration", args, on: "host-a")
            #expect(info["host"] == "host-a" && info["state"] == "running")
            // The very same guest goes on, with what it had in memory and on its disk.
            #expect(try QEMU.processes(uuid: instance.uuid) == [process])
            try await hosts.type("c\nv20\n", instance, on: "host-a")
            try await hosts.awaitConsole(instance, on: "host-a", "sector same")
            // The other is back, asks, and removes what it had.
            try await hosts.destination.start()
            try await hosts.expectOnly(instance, at: "host-a")
            #expect(try await hosts.console(instance, on: "host-a").contains("bad=0"))
            try await hosts.change("host-a", [:], insteadOf: GuestMigration.slow["migration"] ?? [:])
            try await hosts.migrate(instance)
            try await hosts.expectOnly(instance, at: "host-b")
        }
    }
}

extension JSONObject {
    fileprivate func merging(_ more: JSONObject) -> JSONObject {
        var object = self
        for member in more { object[member.key] = member.value }
        return object
    }
}

/// Neighbouring TCP ports of the loopback address of IPv6.
private enum PortRange {
    /// So many that nobody has now, outside of those that the kernel gives away.
    static func free(_ count: Int) throws -> ClosedRange<Int> {
        for _ in 0..<200 {
            let first = Int.random(in: 20_000..<32_000)
            let range = first...(first + count - 1)
            if range.allSatisfy(isFree) { return range }
        }
        throw ConditionNotMet(description: "no free ports")
    }

    private static func isFree(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET6, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var place = sockaddr_in6()
        place.sin6_family = sa_family_t(AF_INET6)
        place.sin6_port = UInt16(port).bigEndian
        place.sin6_addr = in6addr_loopback
        return withUnsafePointer(to: &place) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in6>.size)) == 0
            }
        }
    }

    /// Those of the range at which somebody listens.
    static func listening(_ range: ClosedRange<Int>) throws -> Set<Int> {
        let table = try String(contentsOfFile: "/proc/net/tcp6", encoding: .utf8)
        let ports = table.split(separator: "\n").dropFirst().compactMap { line -> Int? in
            let words = line.split(separator: " ")
            guard words.count > 3, words[3] == "0A" else { return nil }
            return words[1].split(separator: ":").last.flatMap { Int($0, radix: 16) }
        }
        return Set(ports).intersection(range)
    }
}
