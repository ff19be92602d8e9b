import Foundation
import Glibc
import TestSupport

/// What can happen to a broker, each from its beginning to its end.
extension PrivateBroker {
    /// Long enough for work to pile up behind the fault.
    private static let pause = Duration.seconds(1)

    func raiseAlarm() async throws {
        try await setPublishersBlocked(true)
        try await Task.sleep(for: Self.pause)
        try await setPublishersBlocked(false)
    }

    func deleteQueues() async throws {
        for queue in ["compute.host-a", "compute.host-b", "compute"] {
            try await deleteQueue(queue, virtualHost: "/")
        }
    }

    /// The password is another, connections are closed, and the old one is good again.
    func revokePassword() async throws {
        try await changePassword("another")
        try await closeConnections(virtualHost: "/")
        try await Task.sleep(for: Self.pause)
        try await changePassword("guest")
    }

    private func changePassword(_ password: String) async throws {
        try await evaluate(
            "rabbit_auth_backend_internal:change_password(<<\"guest\">>, <<\"\(password)\">>, <<\"test\">>)"
        )
    }

    /// The user may do nothing on the virtual host, first with connections that stay, then with new ones.
    func removePermission() async throws {
        try await evaluate("rabbit_auth_backend_internal:clear_permissions(<<\"guest\">>, <<\"/\">>, <<\"test\">>)")
        try await Task.sleep(for: Self.pause)
        try await closeConnections(virtualHost: "/")
        try await Task.sleep(for: Self.pause)
        let everything = "<<\".*\">>, <<\".*\">>, <<\".*\">>"
        try await evaluate(
            "rabbit_auth_backend_internal:set_permissions(<<\"guest\">>, <<\"/\">>, \(everything), <<\"test\">>)"
        )
    }

    /// The connections, by their process in the node.
    func connections() async throws -> String {
        try await evaluate("lists:sort(rabbit_networking:connections())")
    }

    /// Whether the node closed a connection that was silent.
    var hasMissedHeartbeats: Bool {
        let log = FileManager.default.contents(atPath: directory + "/log/rabbit.log") ?? Data()
        return String(decoding: log, as: UTF8.self).contains("missed heartbeats")
    }
}

extension FaultProxy {
    /// Holds everything back until somebody has given up waiting and connected anew.
    func freezeUntilNoticed(_ direction: Direction) async throws {
        let accepted = try await statistics().accepted
        try await freeze(direction)
        try await eventually(timeout: .seconds(60), "new connections") {
            try await statistics().accepted > accepted
        }
        try await resume()
    }

    func refuseAWhile() async throws {
        try await refuse()
        try await cut()
        try await Task.sleep(for: .seconds(1))
        try await accept()
    }
}

/// A network of two ends, one of which a program can be started in. Needs root.
struct NetworkNamespace: Sendable {
    private let name: String
    private let number: Int

    static let isAvailable =
        getuid() == 0 && FileManager.default.isExecutableFile(atPath: "/sbin/ip")

    /// The address of this side.
    var outside: String { "10.213.\(number / 64).\(number % 64 * 4 + 1)" }
    private var inside: String { "10.213.\(number / 64).\(number % 64 * 4 + 2)" }
    private var link: String { "vmo\(number)" }

    /// A program, run on the other side.
    func command(_ program: String) -> [String] { ["/sbin/ip", "netns", "exec", name, program] }

    static func run(_ body: (NetworkNamespace) async throws -> Void) async throws {
        let number = Int.random(in: 1..<16_000)
        let network = NetworkNamespace(name: "vmops-\(number)", number: number)
        try await ip("netns", "add", network.name)
        do {
            try await network.connect()
            try await body(network)
        } catch {
            try? await ip("netns", "delete", network.name)
            throw error
        }
        try await ip("netns", "delete", network.name)
    }

    private func connect() async throws {
        try await Self.ip("link", "add", link, "type", "veth", "peer", "name", "inside", "netns", name)
        try await Self.ip("address", "add", "\(outside)/30", "dev", link)
        try await Self.ip("link", "set", link, "up")
        try await Self.ip("-n", name, "address", "add", "\(inside)/30", "dev", "inside")
        try await Self.ip("-n", name, "link", "set", "inside", "up")
        try await Self.ip("-n", name, "link", "set", "lo", "up")
    }

    /// From here on no packet gets through, and nobody is told.
    func cut() async throws { try await Self.ip("link", "set", link, "down") }

    func mend() async throws { try await Self.ip("link", "set", link, "up") }

    private static func ip(_ arguments: String...) async throws { _ = try await runCommand("/sbin/ip", arguments) }
}
