import Support
import Synchronization
import Testing

private final class Log: Sendable {
    private let state = Mutex<[Int]>([])
    var entries: [Int] { state.withLock { $0 } }
    func append(_ entry: Int) { state.withLock { $0.append(entry) } }
}

@Suite struct SerialLaneTests {
    @Test func bodiesRunOneAtATimeInOrder() async throws {
        let lane = SerialLane()
        let log = Log()
        let gate = AsyncStream<Void>.makeStream()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await lane.run {
                    for await _ in gate.stream { break }
                    log.append(0)
                }
            }
            while !lane.isBusy { await Task.yield() }
            for number in 1...20 {
                group.addTask {
                    try await lane.run {
                        await Task.yield()
                        log.append(number)
                    }
                }
                while lane.waiting < number { await Task.yield() }
            }
            gate.continuation.finish()
            try await group.waitForAll()
        }
        #expect(log.entries == Array(0...20))
        #expect(!lane.isBusy)
    }

    @Test func aCancelledWaiterLeavesTheQueueToTheOthers() async throws {
        let lane = SerialLane()
        let gate = AsyncStream<Void>.makeStream()
        let first = Task {
            try await lane.run { for await _ in gate.stream { break } }
        }
        while !lane.isBusy { await Task.yield() }
        let waiter = Task { try await lane.run { Issue.record("must not run") } }
        while lane.waiting < 1 { await Task.yield() }
        waiter.cancel()
        await #expect(throws: CancellationError.self) { try await waiter.value }
        gate.continuation.finish()
        try await first.value
        #expect(try await lane.run { 7 } == 7)
    }

    @Test func anErrorLetsTheNextOneIn() async throws {
        struct Trouble: Error {}
        let lane = SerialLane()
        await #expect(throws: Trouble.self) { try await lane.run { throw Trouble() } }
        #expect(try await lane.run { 1 } == 1)
    }
}
