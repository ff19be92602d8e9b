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
