import Foundation
import HostBackend
import HostConformance
import Logging
import QEMUHost
import Support
import Synchronization
import TestSupport

/// A QEMU host on a directory of its own, for one test, with machines that run the tick guest.
final class Bench: Sendable {
    /// For every wait on a guest: generous, for a loaded machine.
    static let limit = Duration.seconds(60)

    let directory: String
    private let hosts = Mutex<[QEMUHost]>([])

    init(_ directory: String) { self.directory = directory }

    static var settings: QEMUSettings {
        var settings = QEMUSettings()
        settings.acceleration = .tcg
        settings.machineType = "pc-i440fx-7.2"
        settings.diskBus = .ide
        settings.syncState = false
        return settings
    }

    /// A host in service.
    func host(_ name: String = "host-a", _ change: (inout QEMUSettings) -> Void = { _ in }) async throws -> QEMUHost {
        var settings = Self.settings
        change(&settings)
        let host = QEMUHost(
            name: name,
            settings: settings,
            stateDirectory: directory + (name == "host-a" ? "/q" : "/q/b"),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        )
        hosts.withLock { $0.append(host) }
        try await host.connect()
        return host
    }

    /// A definition with a disk that boots the tick guest.
    func spec(_ name: String = "vm", memoryMB: Int = 16) throws -> MachineSpec {
        let uuid = newUUID()
        let place = directory + "/i/" + uuid.text
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        let disk = place + "/root.raw"
        try TickGuest.writeDisk(disk)
        return MachineSpec(
            uuid: uuid,
            name: name,
            directory: place,
            memoryMB: memoryMB,
            vcpus: 1,
            disks: [
                DiskAttachment(
                    role: .root,
                    path: disk,
                    format: "raw",
                    address: DeviceAddress(bus: .ide, controller: 0, unit: 0)
                )
            ]
        )
    }

    /// A machine that runs, its guest up, with the reader of its console.
    func running(
        on host: QEMUHost,
        _ name: String = "vm"
    ) async throws -> (spec: MachineSpec, console: ConsoleReader) {
        let spec = try spec(name)
        try await host.createMachine(spec)
        _ = try await host.setState(spec.uuid, .running, deadline: Self.limit)
        let console = try await ConsoleReader(host.openConsole(spec.uuid))
        try await console.until("] ready")
        return (spec, console)
    }

    /// Ends every QEMU that a test has left.
    func cleanUp() async {
        for host in hosts.withLock({ $0 }) { await host.disconnect() }
        for process in machineProcesses() { kill(process, SIGKILL) }
    }

    /// The QEMU processes of this bench, by the directory in their arguments.
    func machineProcesses() -> [Int32] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { name in
            guard let pid = Int32(name), let words = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline"),
                String(decoding: words, as: UTF8.self).contains("path=\(directory)/q/")
            else { return nil }
            return pid
        }
    }

    /// The process of one machine.
    func process(of spec: MachineSpec) throws -> Int32 {
        let found = machineProcesses().first { pid in
            let words = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") ?? Data()
            return String(decoding: words, as: UTF8.self).contains(spec.uuid.text)
        }
        guard let found else { throw ConditionNotMet(description: "machine \(spec.name) has no process") }
        return found
    }
}

func newUUID() -> InstanceUUID {
    guard let uuid = InstanceUUID(UniqueID.makeDashed()) else { preconditionFailure("no uuid") }
    return uuid
}

/// Runs `body` with a bench of its own, after which no QEMU of it is left.
func withBench<Result>(_ body: (Bench) async throws -> Result) async throws -> Result {
    try await withTemporaryDirectory { directory in
        let bench = Bench(directory)
        do {
            let result = try await body(bench)
            await bench.cleanUp()
            return result
        } catch {
            await bench.cleanUp()
            throw error
        }
    }
}

/// The code of the error that `body` throws, `nil` when it throws none.
func code(_ body: () async throws -> Void) async -> BackendError.Code? {
    do {
        try await body()
        return nil
    } catch {
        return (error as? BackendError)?.code ?? .internal
    }
}

/// Whether the lines of one or more boots of a tick guest are all there, once each and in order.
func areConsecutive(_ text: String) -> Bool {
    var expected = 0
    for line in text.split(whereSeparator: \.isNewline).map(String.init) {
        guard let (number, _) = TickGuest.text(of: line) else { continue }
        if number != expected, number != 0 { return false }
        expected = number + 1
    }
    return true
}
