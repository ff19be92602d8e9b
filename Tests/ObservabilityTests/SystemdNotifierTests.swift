import Foundation
import Glibc
import Testing

@testable import Observability

@Suite struct SystemdNotifierTests {
    /// A manager's socket that datagrams are read from.
    private final class Manager {
        let path = NSTemporaryDirectory() + "vmops-\(UUID().uuidString.prefix(8)).notify"
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_NONBLOCK.rawValue), 0)

        init(_ name: String? = nil) throws {
            let address = try ResolvedAddress(unixPath: name ?? path)
            #expect(address.withPointer { bind(descriptor, $0, $1) } == 0)
        }

        deinit {
            close(descriptor)
            unlink(path)
        }

        func next() -> String? {
            var bytes = [UInt8](repeating: 0, count: 1024)
            let count = recv(descriptor, &bytes, bytes.count, 0)
            return count < 0 ? nil : String(decoding: bytes.prefix(count), as: UTF8.self)
        }
    }

    @Test func sendsOneDatagramEach() throws {
        let manager = try Manager()
        let notifier = SystemdNotifier(environment: ["NOTIFY_SOCKET": manager.path])
        #expect(notifier.ready(status: "serving 2 hosts\nfaked=1"))
        #expect(notifier.watchdog())
        #expect(notifier.reloading())
        #expect(notifier.stopping())
        #expect(manager.next() == "READY=1\nSTATUS=serving 2 hosts faked=1")
        #expect(manager.next() == "WATCHDOG=1")
        let reloading = try #require(manager.next())
        #expect(reloading.hasPrefix("RELOADING=1\nMONOTONIC_USEC="))
        #expect(manager.next() == "STOPPING=1")
        #expect(manager.next() == nil)
    }

    @Test func reachesAbstractSockets() throws {
        let name = "@vmops-\(UUID().uuidString)"
        let manager = try Manager(name)
        #expect(SystemdNotifier(environment: ["NOTIFY_SOCKET": name]).ready())
        #expect(manager.next() == "READY=1")
    }

    @Test func doesNothingWithoutAManager() {
        #expect(!SystemdNotifier(environment: [:]).ready())
        #expect(!SystemdNotifier(environment: ["NOTIFY_SOCKET": "/nonexistent/socket"]).ready())
    }

    @Test func watchdogIsForTheNamedProcess() {
        let environment = ["WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "17"]
        #expect(SystemdNotifier(environment: environment, processID: 17).watchdogInterval == .seconds(10))
        #expect(SystemdNotifier(environment: environment, processID: 18).watchdogInterval == nil)
        #expect(SystemdNotifier(environment: [:]).watchdogInterval == nil)
    }
}
