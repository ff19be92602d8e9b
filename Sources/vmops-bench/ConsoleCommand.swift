import ArgumentParser
import Console
import Dispatch
import Glibc
import Synchronization

/// `vmops-bench console`: the console service on descriptors that somebody else opened.
struct ConsoleCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "console",
        abstract: "Captures open descriptors into capped files until all of them end.",
        discussion: """
            Prints the line "ready" when all descriptors are being read. Descriptor N of the range is written to \
            DIRECTORY/N/console.log; the directories must exist. With --fifo it is one console, a FIFO that is opened \
            by its name, as for a guest that outlives its worker.
            """
    )

    @Option(help: "The first descriptor of the range.")
    var firstDescriptor: Int32 = -1

    @Option(help: "How many descriptors follow each other.")
    var count = 1

    @Option(help: "A FIFO instead of open descriptors.")
    var fifo: String?

    @Option(help: "Where the logs go.")
    var directory: String

    @Option(help: "The size no segment exceeds.")
    var segmentBytes = 524_288

    @Option(help: "Archived segments beside the current one.")
    var archives = 1

    func validate() throws {
        guard (fifo == nil) == (firstDescriptor >= 0), count > 0, fifo == nil || count == 1 else {
            throw ValidationError("either a range of descriptors or one FIFO")
        }
    }

    func run() throws {
        var settings = ConsoleSettings()
        settings.segmentBytes = segmentBytes
        settings.archives = archives
        let capture = try ConsoleCapture(
            firstDescriptor: try fifo.map(Self.open) ?? firstDescriptor,
            count: count,
            directory: directory,
            settings: settings
        )
        let totals = try Self.wait {
            try await capture.run {
                print("ready")
                fflush(nil)
            }
        }
        print(
            #"{"bytes": \#(totals.bytesIn), "dropped": \#(totals.dropped), "rotations": \#(totals.rotations)}"#
        )
    }

    private static func open(_ fifo: String) throws -> Int32 {
        let descriptor = Glibc.open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { throw BenchError("\(fifo) cannot be opened") }
        return descriptor
    }

    /// Runs asynchronous work from the main thread. The task is awaited here and nobody cancels it: the process ends
    /// with it.
    private static func wait<Value: Sendable>(_ work: @escaping @Sendable () async throws -> Value) throws -> Value {
        let outcome = Outcome<Value>()
        let done = DispatchSemaphore(value: 0)
        Task.detached {
            do {
                let value = try await work()
                outcome.result.withLock { $0 = .success(value) }
            } catch {
                outcome.result.withLock { $0 = .failure(error) }
            }
            done.signal()
        }
        done.wait()
        guard let result = outcome.result.withLock({ $0 }) else { throw BenchError("the work ended without a result") }
        return try result.get()
    }

    private final class Outcome<Value: Sendable>: Sendable {
        let result: Mutex<Result<Value, any Error>?> = Mutex(nil)
    }
}
