import HostBackend
import Support
import Synchronization

/// Reads a pushed stream in its own task into a log's buffer. Asking for the next chunk is the credit for it, so a full
/// buffer holds the backend back, within the stall limit.
final class StreamReader: Sendable {
    private let stream: any ConsoleStream
    private let log: ConsoleLog
    private let count = Atomic<Int>(0)

    private let isAbandoned: @Sendable () -> Bool

    init(
        _ stream: any ConsoleStream,
        into log: ConsoleLog,
        isAbandoned: @escaping @Sendable () -> Bool
    ) {
        self.isAbandoned = isAbandoned
        self.stream = stream
        self.log = log
    }

    var bytes: Int { count.load(ordering: .relaxed) }

    /// Reads until the stream ends; when `closing` is set it has `limit` left, because the backend sends the end itself
    /// once the machine's last bytes have been sent.
    func run(closing: ConsoleSignal, limit: @escaping @Sendable () -> Duration) async -> ConsoleEnd {
        let ended = ConsoleSignal()
        return await withTaskGroup(of: ConsoleEnd?.self) { group in
            group.addTask {
                defer { ended.set() }
                do {
                    while let chunk = try await self.stream.next() {
                        self.noteLosses()
                        await self.append(chunk)
                    }
                    self.noteLosses()
                    return .endOfStream
                } catch {
                    self.noteLosses()
                    return .failed(error)
                }
            }
            group.addTask {
                await withTaskGroup(of: Void.self) { waits in
                    waits.addTask { await closing.wait() }
                    waits.addTask { await ended.wait() }
                    await waits.next()
                    waits.cancelAll()
                }
                if await ended.wait(limit: limit()) { return nil }
                return .timeout
            }
            var end = ConsoleEnd.endOfStream
            while let result = await group.next() {
                guard let result else { continue }
                end = result
                await stream.close()
                group.cancelAll()
                break
            }
            return end
        }
    }

    private func noteLosses() {
        for loss in stream.takeLosses() {
            switch loss {
            case .bytes(let count): log.buffer.lost(count)
            case .unknown: log.buffer.missing()
            }
        }
    }

    private func append(_ chunk: [UInt8]) async {
        var rest = chunk[...]
        // What is left when nobody wants it any more counts as dropped.
        defer { log.buffer.lost(rest.count) }
        while !rest.isEmpty, !isAbandoned() {
            let room = ConsoleSignal()
            switch log.buffer.room(onRoom: { room.set() }) {
            case .full:
                log.limitStall()
                await room.wait()
                if Task.isCancelled { return }
            case .block(let block, let position):
                let taken = block.append(rest, at: position)
                log.meet(log.buffer.publish(block, at: position, count: taken, time: WallClock.nanoseconds))
                count.add(taken, ordering: .relaxed)
                rest = rest.dropFirst(taken)
            }
        }
    }
}
