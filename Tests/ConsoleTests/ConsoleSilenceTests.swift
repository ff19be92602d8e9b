import HostBackend
import Logging
import Support
import Synchronization
import Testing

@testable import Console

/// The machine's side of consoles that can do without a pipe: agrees or not, and gives another pipe when told to.
private final class Silence: ConsoleSilence {
    private let agrees: Mutex<Bool>
    private let wakes = Mutex<[@Sendable (ConsoleDescriptor?) -> Void]>([])
    let asked = Counter()
    let givenUp = Counter()

    init(agrees: Bool) { self.agrees = Mutex(agrees) }

    func begin(_ wake: @escaping @Sendable (ConsoleDescriptor?) -> Void) -> Bool {
        let agrees = agrees.withLock { $0 }
        if agrees { wakes.withLock { $0.append(wake) } }
        asked.count()
        return agrees
    }

    func giveUp() { givenUp.count() }

    var isResting: Bool { wakes.withLock { !$0.isEmpty } }

    func wake(_ descriptor: ConsoleDescriptor?) { wakes.withLock { $0.removeLast() }(descriptor) }
}

@Suite(.timeLimit(.minutes(5))) struct ConsoleSilenceTests {
    private static var settings: ConsoleSettings {
        var settings = ConsoleSettings.quick()
        settings.restAfter = .milliseconds(20)
        return settings
    }

    /// A machine on a pipe whose other side is `silence`.
    private static func descriptor(_ guest: GuestPipe, _ silence: Silence) -> ConsoleDescriptor {
        ConsoleDescriptor(fileDescriptor: guest.descriptor.fileDescriptor, silence: silence)
    }

    private static func withReader(
        _ guest: GuestPipe,
        _ silence: Silence,
        _ body: (DescriptorReader, ConsoleLog, TestDirectory) async throws -> Void
    ) async throws -> ConsoleEnd {
        let directory = try TestDirectory()
        let engine = try ConsoleEngine()
        let log = ConsoleLog(
            directory: directory.path,
            settings: settings,
            engine: engine,
            metrics: ConsoleMetrics(host: "host-a")
        )
        let reader = DescriptorReader(descriptor(guest, silence), into: log, reactor: engine.reactor)
        return try await withThrowingTaskGroup(of: ConsoleEnd.self) { group in
            group.addTask { await reader.run() }
            do {
                try await body(reader, log, directory)
            } catch {
                reader.drain(quiet: .zero, limit: .zero)
                throw error
            }
            let end = try await group.next()
            await log.finish()
            return try #require(end)
        }
    }

    @Test(arguments: GuestPipe.Kind.allCases)
    func aSilentLogIsClosedAndGoesOnWhereItWas(kind: GuestPipe.Kind) async throws {
        let directory = try TestDirectory()
        let uuid = try InstanceUUID.random()
        let guest = try GuestPipe(kind)
        try await withService(Self.settings) { service in
            await service.ensure(uuid, directory: directory.path, mark: .boot) { try guest.open() }
            var printed = ""
            for number in 1...3 {
                guest.print("burst \(number)\n")
                printed += "burst \(number)\n"
                let end = Int64(printed.utf8.count)
                try await eventually { try await service.status(uuid, directory: directory.path).endOffset == end }
                try await eventually { openDescriptors(under: directory.path) == 0 }
            }
            #expect(try content(directory).data == Array(printed.utf8))
            let status = try await service.status(uuid, directory: directory.path)
            #expect(status.state == .attached)
            guest.end()
        }
    }

    @Test func aSilentPipeIsGivenUpAndAnotherOneTaken() async throws {
        let silence = Silence(agrees: true)
        let guests = try (0..<3).map { _ in try GuestPipe() }
        let end = try await Self.withReader(guests[0], silence) { reader, log, directory in
            guests[0].print("one\n")
            var written = 4
            for (number, guest) in guests.enumerated().dropFirst() {
                try await eventually { silence.isResting }
                #expect(log.progress.bytesWritten == written)
                #expect(!reader.isOver)
                // Printed before the reader knows of the pipe.
                guest.print("more \(number)\n")
                silence.wake(Self.descriptor(guest, silence))
                written += 7
                try await eventually { log.progress.bytesWritten == written }
            }
            try await eventually { silence.isResting }
            // The reader's ends are closed: nobody can be printed to.
            for guest in guests { try await eventually { !guest.print(Array("lost".utf8)) } }
            #expect(try content(directory).data == Array("one\nmore 1\nmore 2\n".utf8))
            silence.wake(nil)
        }
        guard case .endOfStream = end else { return #expect(Bool(false), "\(end)") }
        #expect(silence.givenUp.value == 0)
        for guest in guests { guest.end() }
    }

    @Test func aPipeThatIsNotGivenUpIsReadOn() async throws {
        let silence = Silence(agrees: false)
        let guest = try GuestPipe()
        let end = try await Self.withReader(guest, silence) { _, log, _ in
            try await eventually { silence.asked.value > 0 }
            for number in 1...3 {
                let asked = silence.asked.value
                guest.print("line \(number)\n")
                try await eventually { log.progress.bytesWritten == number * 7 }
                try await eventually { silence.asked.value > asked }
            }
            guest.end()
        }
        guard case .endOfStream = end else { return #expect(Bool(false), "\(end)") }
    }

    @Test func aRestingReaderThatIsClosedSaysSo() async throws {
        let silence = Silence(agrees: true)
        let guest = try GuestPipe()
        let end = try await Self.withReader(guest, silence) { reader, _, _ in
            try await eventually { silence.isResting }
            reader.drain(quiet: .milliseconds(5), limit: .seconds(60))
        }
        guard case .quiet = end else { return #expect(Bool(false), "\(end)") }
        #expect(silence.givenUp.value == 1)
        // Too late: the pipe is closed at once, and the machine learns it.
        let late = try GuestPipe()
        silence.wake(late.descriptor)
        try await eventually { !late.print(Array("lost".utf8)) }
        guest.end()
        late.end()
    }

    @Test func whatIsPrintedWhileTheReaderIsClosedIsStillTaken() async throws {
        let silence = Silence(agrees: true)
        let guests = try (0..<2).map { _ in try GuestPipe() }
        _ = try await Self.withReader(guests[0], silence) { reader, log, _ in
            try await eventually { silence.isResting }
            reader.drain(quiet: .seconds(60), limit: .seconds(60))
            guests[1].print("last words\n")
            silence.wake(Self.descriptor(guests[1], silence))
            guests[1].end()
            try await eventually { log.progress.bytesWritten == 11 }
        }
        guests[0].end()
    }
}
