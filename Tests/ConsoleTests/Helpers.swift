import CSystemShims
import Foundation
import HostBackend
import Logging
import Support
import Synchronization

@testable import Console

/// A directory of its own, removed with its last holder.
final class TestDirectory: Sendable {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "vmops-console-" + UniqueID.make()
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    var names: [String] { ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted() }

    func size(_ name: String) -> Int {
        ((try? FileManager.default.attributesOfItem(atPath: path + "/" + name))?[.size] as? Int) ?? 0
    }

    func write(_ name: String, _ bytes: [UInt8]) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: path + "/" + name))
    }
}

/// SplitMix64: the same numbers for the same seed.
struct Seeded: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }

    mutating func bytes(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 8)
        while bytes.count < count { withUnsafeBytes(of: next()) { bytes.append(contentsOf: $0) } }
        return Array(bytes.prefix(count))
    }

    /// Letters with a newline now and then.
    mutating func text(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in
            Int.random(in: 0..<20, using: &self) == 0 ? 0x0A : UInt8.random(in: 0x61...0x7A, using: &self)
        }
    }
}

/// A machine's side of a console.
struct GuestPipe: Sendable {
    let descriptor: ConsoleDescriptor
    let writeEnd: Int32
    private let openings = Counter()

    enum Kind: Sendable, CaseIterable { case pipe, socket }

    init(_ kind: Kind = .pipe) throws {
        // Writing to a console that was closed is an error to look at, not the end of the process.
        signal(SIGPIPE, SIG_IGN)
        var ends: [Int32] = [-1, -1]
        let result =
            switch kind {
            case .pipe: pipe2(&ends, O_CLOEXEC)
            case .socket: socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends)
            }
        guard result == 0 else { throw SystemCallError("\(kind)", errno) }
        _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
        descriptor = ConsoleDescriptor(fileDescriptor: ends[0])
        writeEnd = ends[1]
    }

    /// The reader's end, once: afterwards its number belongs to somebody else.
    func open() throws -> ConsoleEndpoint {
        guard openings.count() == 1 else { throw BackendError(.unavailable, "console is gone") }
        return .descriptor(descriptor)
    }

    /// Writes everything, blocking; false when the reader has gone. On a thread of its own for more than 64 KiB.
    @discardableResult
    func print(_ bytes: [UInt8]) -> Bool {
        var done = 0
        while done < bytes.count {
            let count = bytes[done...].withUnsafeBytes { Glibc.write(writeEnd, $0.baseAddress, $0.count) }
            if count < 0 { return false }
            done += count
        }
        return true
    }

    /// Whether a pipe takes no more.
    var isFull: Bool {
        var query = pollfd(fd: writeEnd, events: Int16(POLLOUT), revents: 0)
        return poll(&query, 1, 0) == 0
    }

    func print(_ text: String) { print(Array(text.utf8)) }

    func end() { Glibc.close(writeEnd) }
}

/// Runs `body` on a thread that may block, and waits for it.
func onThread(_ body: @escaping @Sendable () -> Void) async throws {
    let done = ConsoleSignal()
    try ReactorThread.start(name: "guest") {
        body()
        done.set()
    }
    await done.wait()
}

/// Waits until `condition` holds; the test's time limit ends a wait in vain.
func eventually(_ condition: () async throws -> Bool) async throws {
    while try await !condition() { try await Task.sleep(for: .milliseconds(2)) }
}

extension ConsoleSettings {
    /// Short times and small segments.
    static func quick(segmentBytes: Int = 4096, archives: Int = 3) -> ConsoleSettings {
        var settings = ConsoleSettings()
        settings.segmentBytes = segmentBytes
        settings.archives = archives
        settings.reconnectInitial = .milliseconds(1)
        settings.reconnectMax = .milliseconds(5)
        settings.flushInterval = .milliseconds(5)
        settings.drainQuiet = .milliseconds(50)
        settings.drainTimeout = .milliseconds(500)
        settings.maxReplyBytes = 64 * 1024 * 1024
        return settings
    }
}

/// Runs a service around `body`.
func withService(
    _ settings: ConsoleSettings = .quick(),
    engine: ConsoleEngine? = nil,
    _ body: (ConsoleService) async throws -> Void
) async throws {
    let service = ConsoleService(
        host: "host-a",
        settings: settings,
        engine: try engine ?? ConsoleEngine(),
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    )
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await service.run() }
        let result: Result<Void, any Error>
        do { result = .success(try await body(service)) } catch { result = .failure(error) }
        await service.shutdown()
        try await group.waitForAll()
        try result.get()
    }
}

extension InstanceUUID {
    static func random() throws -> InstanceUUID {
        guard let uuid = InstanceUUID(UniqueID.makeDashed()) else { throw ConsoleError(.storage, "no uuid") }
        return uuid
    }
}

/// All bytes that a store retains.
func content(_ directory: TestDirectory, _ limits: SegmentLimits = SegmentLimits(segmentBytes: 1, archives: 0)) throws
    -> ConsoleChunk
{
    var store = SegmentStore(directory: directory.path, limits: limits)
    return try store.read(from: 0, maxBytes: .max)
}

/// How many descriptors this process has open on `path`.
func openDescriptors(under path: String) -> Int {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
    return names.count { name in
        (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/" + name))?.hasPrefix(path) ?? false
    }
}

/// A number that several threads count.
final class Counter: Sendable {
    private let number = Atomic<Int>(0)

    var value: Int { number.load(ordering: .relaxed) }

    /// Counts one; returns the new number.
    @discardableResult
    func count() -> Int { number.add(1, ordering: .relaxed).newValue }
}
