import Dispatch
import Glibc
import Support
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(5))) struct ReactorTests {
    /// Reads into blocks and answers with the verdict it was given.
    private final class Reader: ReactorHandler {
        struct State {
            var bytes: [UInt8] = []
            var calls = 0
            var refusal: SystemCallError?
        }

        let state = Mutex(State())
        private let descriptor: Int32
        private let verdict: ReactorVerdict
        private let pool = ReactorBlockPool(budget: 1 << 20)
        let changed: AsyncStream<Void>
        private let change: AsyncStream<Void>.Continuation

        init(_ descriptor: Int32, _ verdict: ReactorVerdict = .again) {
            self.descriptor = descriptor
            self.verdict = verdict
            (changed, change) = AsyncStream.makeStream()
        }

        func ready() -> ReactorVerdict {
            let block = pool.small()
            let result = block.read(from: descriptor, at: 0)
            state.withLock { state in
                state.calls += 1
                if case .bytes(let count) = result { state.bytes += ReactorSlice(block, 0..<count).array }
            }
            change.yield()
            if case .end = result { return .remove }
            return verdict
        }

        func refused(_ error: SystemCallError) {
            state.withLock { $0.refusal = error }
            change.yield()
        }

        func wait(until condition: (State) -> Bool) async {
            for await _ in changed where state.withLock({ condition($0) }) { return }
        }
    }

    private func makePipe() -> (read: Int32, write: Int32) {
        var ends: [Int32] = [-1, -1]
        pipe(&ends)
        _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
        return (ends[0], ends[1])
    }

    /// Only then may the descriptors be closed: their numbers will name other tests' files.
    private func remove(_ token: ReactorToken, from reactor: Reactor) async {
        await withCheckedContinuation { continuation in reactor.remove(token) { continuation.resume() } }
    }

    private func write(_ descriptor: Int32, _ text: String) {
        _ = text.withCString { Glibc.write(descriptor, $0, strlen($0)) }
    }

    @Test func tellsWhatIsReadable() async throws {
        let reactor = try Reactor(name: "test")
        let pipe = makePipe()
        let reader = Reader(pipe.read)
        let token = ReactorToken()
        reactor.add(token, pipe.read, reader)
        write(pipe.write, "one")
        await reader.wait { $0.bytes.count == 3 }
        write(pipe.write, "two")
        await reader.wait { $0.bytes == Array("onetwo".utf8) }
        await remove(token, from: reactor)
        close(pipe.write)
        close(pipe.read)
    }

    @Test func aPausedDescriptorIsLeftAloneEvenAtItsEnd() async throws {
        let reactor = try Reactor(name: "test")
        let pipe = makePipe()
        let reader = Reader(pipe.read, .pause)
        let token = ReactorToken()
        reactor.add(token, pipe.read, reader)
        write(pipe.write, "one")
        await reader.wait { $0.calls == 1 }
        write(pipe.write, "two")
        close(pipe.write)
        // What was asked for later has been done, and the handler was not called in between.
        await withCheckedContinuation { continuation in
            reactor.schedule(after: .milliseconds(20)) { continuation.resume() }
        }
        #expect(reader.state.withLock { $0.calls } == 1)
        reactor.resume(token)
        await reader.wait { $0.bytes == Array("onetwo".utf8) }
        await remove(token, from: reactor)
        close(pipe.read)
    }

    @Test func aRestingDescriptorGathersBytes() async throws {
        let reactor = try Reactor(name: "test")
        let pipe = makePipe()
        let reader = Reader(pipe.read, .rest(.milliseconds(5)))
        let token = ReactorToken()
        reactor.add(token, pipe.read, reader)
        for _ in 0..<500 { write(pipe.write, "x") }
        await reader.wait { $0.bytes.count == 500 }
        #expect(reader.state.withLock { $0.calls } < 250)
        await remove(token, from: reactor)
        close(pipe.write)
        close(pipe.read)
    }

    @Test func afterRemovalTheHandlerIsNotCalled() async throws {
        let reactor = try Reactor(name: "test")
        let pipe = makePipe()
        let reader = Reader(pipe.read)
        let token = ReactorToken()
        reactor.add(token, pipe.read, reader)
        await remove(token, from: reactor)
        write(pipe.write, "x")
        await withCheckedContinuation { continuation in
            reactor.schedule(after: .zero) { continuation.resume() }
        }
        #expect(reader.state.withLock { $0.calls } == 0)
        close(pipe.write)
        close(pipe.read)
    }

    @Test func aRegularFileIsRefused() async throws {
        let reactor = try Reactor(name: "test")
        let descriptor = open("/proc/self/exe", O_RDONLY)
        let reader = Reader(descriptor)
        reactor.add(ReactorToken(), descriptor, reader)
        await reader.wait { $0.refusal?.number == EPERM }
        close(descriptor)
    }

    @Test func timersComeInOrder() async throws {
        let reactor = try Reactor(name: "test")
        let order = Mutex<[Int]>([])
        let delays = [30, 5, 20, 10, 25, 15, 0]
        await withCheckedContinuation { continuation in
            for delay in delays {
                reactor.schedule(after: .milliseconds(delay * 4)) { order.withLock { $0.append(delay) } }
            }
            reactor.schedule(after: .milliseconds(200)) { continuation.resume() }
        }
        #expect(order.withLock { $0 } == delays.sorted())
    }

    @Test func strandsKeepTheirOrderAndDoNotBlockEachOther() async throws {
        let pool = try ReactorPool(name: "test", threads: 2)
        let blocked = ReactorStrand(pool)
        let gate = DispatchSemaphore(value: 0)
        blocked.submit { gate.wait() }
        let strand = ReactorStrand(pool)
        let order = Mutex<[Int]>([])
        for number in 0..<1000 { strand.submit { order.withLock { $0.append(number) } } }
        await withCheckedContinuation { continuation in strand.submit { continuation.resume() } }
        #expect(order.withLock { $0 } == Array(0..<1000))
        gate.signal()
        await withCheckedContinuation { continuation in blocked.submit { continuation.resume() } }
    }

    @Test func blocksAreCountedAndReturned() {
        let pool = ReactorBlockPool(budget: 2 * ReactorBlockPool.largeBytes)
        var blocks = [pool.large(), pool.large()]
        #expect(pool.large() == nil)
        #expect(pool.used == pool.budget)
        let small = pool.small()
        #expect(pool.used == pool.budget + small.capacity)
        blocks.removeAll()
        #expect(pool.large() != nil)
    }
}
