import CSystemShims
import Glibc
import Synchronization

/// One thread with one epoll set: tells handlers that their descriptors are readable, and runs timers.
///
/// A descriptor is watched for one report at a time: after it nothing is reported until the handler's verdict, or
/// ``watchAgain(_:_:)`` from elsewhere, asks for the next.
///
/// Everything a handler or a timer does on this thread must be short and must not block. Requests from other threads
/// are queued and taken in order. The number of descriptors, timers and requests is bounded by who uses the reactor.
/// The thread ends when the last holder of the reactor lets go of it; handlers and timers are dropped then.
package final class Reactor: Sendable {
    private let requests: ReactorRequests
    private let epoll: Int32

    package init(name: String) throws(SystemCallError) {
        let requests = try ReactorRequests()
        self.requests = requests
        let epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        self.epoll = epoll
        guard epoll >= 0 else { throw SystemCallError("epoll_create1", errno) }
        try ReactorThread.start(name: name) {
            var loop = ReactorLoop(epoll: epoll, requests: requests)
            loop.run()
            close(epoll)
        }
    }

    deinit { requests.append(.stop) }

    /// Watches `descriptor` under a new token; the caller keeps it open until ``remove(_:then:)`` has called back.
    package func add(_ token: ReactorToken, _ descriptor: Int32, _ handler: any ReactorHandler) {
        requests.append(.add(token, descriptor, handler))
    }

    /// Watches again after ``ReactorVerdict/pause``, or earlier than a ``ReactorVerdict/rest(_:)`` says.
    package func resume(_ token: ReactorToken) {
        requests.append(.resume(token))
    }

    /// The same after a report, without waking the reactor's thread. The caller knows that ``remove(_:then:)`` has not
    /// been asked for and will not be before this returns: the number could name another file by then.
    package func watchAgain(_ token: ReactorToken, _ descriptor: Int32) {
        _ = ReactorLoop.control(epoll, EPOLL_CTL_MOD, descriptor, token.number)
    }

    /// Stops watching; `then` runs on the reactor's thread, after which the handler is not called any more.
    package func remove(_ token: ReactorToken, then: @escaping @Sendable () -> Void) {
        requests.append(.remove(token, then))
    }

    /// Runs `body` on the reactor's thread after `delay`.
    package func schedule(after delay: Duration, _ body: @escaping @Sendable () -> Void) {
        requests.append(.timer(.now + delay, body))
    }
}

/// Names one registration; never used twice in a process.
package struct ReactorToken: Hashable, Sendable {
    private static let last = Atomic<UInt64>(0)

    let number: UInt64

    package init() { number = Self.last.add(1, ordering: .relaxed).newValue }
}

/// What the reactor does with a descriptor next.
package enum ReactorVerdict: Sendable, Equatable {
    /// Watch on.
    case again
    /// Watch again after a while, so that small pieces gather meanwhile.
    case rest(Duration)
    /// Call ``ReactorHandler/gathered()`` after a while, without watching meanwhile.
    case gather(Duration)
    /// Watch again when told so.
    case pause
    /// Forget it.
    case remove
}

/// Called on the reactor's thread.
package protocol ReactorHandler: AnyObject, Sendable {
    /// The descriptor is readable, at its end, or broken.
    func ready() -> ReactorVerdict

    /// The time of ``ReactorVerdict/gather(_:)`` is over.
    func gathered() -> ReactorVerdict

    /// The descriptor cannot be watched; it is forgotten.
    func refused(_ error: SystemCallError)
}

extension ReactorHandler {
    package func gathered() -> ReactorVerdict { ready() }
}

/// A point of the monotonic clock.
struct ReactorInstant: Comparable {
    let nanoseconds: Int64

    static var now: ReactorInstant {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return ReactorInstant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }

    static func + (instant: ReactorInstant, delay: Duration) -> ReactorInstant {
        let (seconds, attoseconds) = delay.components
        return ReactorInstant(nanoseconds: instant.nanoseconds + seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
    }

    static func < (left: ReactorInstant, right: ReactorInstant) -> Bool { left.nanoseconds < right.nanoseconds }
}

enum ReactorRequest: Sendable {
    case add(ReactorToken, Int32, any ReactorHandler)
    case resume(ReactorToken)
    case remove(ReactorToken, @Sendable () -> Void)
    case timer(ReactorInstant, @Sendable () -> Void)
    case stop
}

/// The way into the reactor's thread: a queue and the eventfd that says it is not empty.
final class ReactorRequests: Sendable {
    private let waiting = Mutex<[ReactorRequest]>([])
    let wake: Int32

    init() throws(SystemCallError) {
        wake = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard wake >= 0 else { throw SystemCallError("eventfd", errno) }
    }

    deinit { close(wake) }

    func append(_ request: ReactorRequest) {
        let wasEmpty = waiting.withLock { waiting in
            defer { waiting.append(request) }
            return waiting.isEmpty
        }
        if wasEmpty { eventfd_write(wake, 1) }
    }

    func take() -> [ReactorRequest] {
        waiting.withLock { waiting in
            defer { waiting.removeAll() }
            return waiting
        }
    }
}
