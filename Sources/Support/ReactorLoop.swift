import CSystemShims
import Glibc

/// The state of a reactor's thread, which alone holds it.
struct ReactorLoop: ~Copyable {
    private struct Registration {
        let descriptor: Int32
        let handler: any ReactorHandler
        var isKnown = false
        /// Counts rests, so that a timer of an earlier one finds itself outdated.
        var rest: UInt64 = 0
    }

    private enum Due {
        case body(@Sendable () -> Void)
        case resume(UInt64, rest: UInt64)
        case gathered(UInt64, rest: UInt64)
    }

    private static let eventsAtOnce = 128
    private static let wakeNumber: UInt64 = 0

    private let epoll: Int32
    private let requests: ReactorRequests
    private var registrations: [UInt64: Registration] = [:]
    private var timers = ReactorTimers<Due>()
    private var stopped = false

    init(epoll: Int32, requests: ReactorRequests) {
        self.epoll = epoll
        self.requests = requests
    }

    mutating func run() {
        _ = Self.control(epoll, EPOLL_CTL_ADD, requests.wake, Self.wakeNumber, once: false)
        var events = [epoll_event](repeating: epoll_event(), count: Self.eventsAtOnce)
        while !stopped {
            let count = Int(epoll_wait(epoll, &events, Int32(events.count), timeout()))
            var woken = false
            for event in events.prefix(max(0, count)) {
                let number = event.data.u64
                if number == Self.wakeNumber {
                    woken = true
                } else {
                    handle(number)
                }
            }
            if woken {
                var value: eventfd_t = 0
                eventfd_read(requests.wake, &value)
                for request in requests.take() { carryOut(request) }
            }
            runTimers()
        }
    }

    private mutating func handle(_ number: UInt64) {
        guard let registration = registrations[number] else { return }
        obey(registration.handler.ready(), number)
    }

    private mutating func obey(_ verdict: ReactorVerdict, _ number: UInt64) {
        switch verdict {
        case .again:
            watch(number)
        case .rest(let delay):
            let rest = nextRest(number)
            timers.insert(.now + delay, .resume(number, rest: rest))
        case .gather(let delay):
            let rest = nextRest(number)
            timers.insert(.now + delay, .gathered(number, rest: rest))
        case .pause:
            _ = nextRest(number)
        case .remove:
            forget(number)
        }
    }

    private mutating func nextRest(_ number: UInt64) -> UInt64 {
        registrations[number]?.rest += 1
        return registrations[number]?.rest ?? 0
    }

    private mutating func forget(_ number: UInt64) {
        guard let registration = registrations.removeValue(forKey: number), registration.isKnown else { return }
        _ = Self.control(epoll, EPOLL_CTL_DEL, registration.descriptor, 0)
    }

    private mutating func carryOut(_ request: ReactorRequest) {
        switch request {
        case .add(let token, let descriptor, let handler):
            registrations[token.number] = Registration(descriptor: descriptor, handler: handler)
            watch(token.number)
        case .resume(let token):
            watch(token.number)
        case .remove(let token, let then):
            forget(token.number)
            then()
        case .timer(let instant, let body):
            timers.insert(instant, .body(body))
        case .stop:
            stopped = true
        }
    }

    /// Asks for the next report. One that is never asked for does not report hang-ups over and over either.
    private mutating func watch(_ number: UInt64) {
        guard let registration = registrations[number] else { return }
        let operation = registration.isKnown ? EPOLL_CTL_MOD : EPOLL_CTL_ADD
        if let error = Self.control(epoll, operation, registration.descriptor, number) {
            registrations[number] = nil
            registration.handler.refused(error)
        } else {
            registrations[number]?.isKnown = true
        }
    }

    static func control(
        _ epoll: Int32,
        _ operation: Int32,
        _ descriptor: Int32,
        _ number: UInt64,
        once: Bool = true
    ) -> SystemCallError? {
        var event = epoll_event()
        event.events = EPOLLIN.rawValue | (once ? EPOLLONESHOT.rawValue : 0)
        event.data.u64 = number
        guard epoll_ctl(epoll, operation, descriptor, &event) == 0 else { return SystemCallError("epoll_ctl", errno) }
        return nil
    }

    /// Milliseconds until the next timer, rounded up: a timer is never early, and those of one millisecond come
    /// together.
    private func timeout() -> Int32 {
        guard let next = timers.next else { return -1 }
        let left = next.nanoseconds - ReactorInstant.now.nanoseconds
        return left <= 0 ? 0 : Int32(min((left + 999_999) / 1_000_000, 3_600_000))
    }

    private mutating func runTimers() {
        guard timers.next != nil else { return }
        let now = ReactorInstant.now
        while let due = timers.pop(until: now) {
            switch due {
            case .body(let body): body()
            case .resume(let number, let rest):
                if registrations[number]?.rest == rest { watch(number) }
            case .gathered(let number, let rest):
                if let registration = registrations[number], registration.rest == rest {
                    obey(registration.handler.gathered(), number)
                }
            }
        }
    }
}

/// A binary heap of what is due when.
struct ReactorTimers<Due> {
    private var heap: [(instant: ReactorInstant, due: Due)] = []

    var next: ReactorInstant? { heap.first?.instant }

    mutating func insert(_ instant: ReactorInstant, _ due: Due) {
        heap.append((instant, due))
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            if heap[parent].instant <= heap[child].instant { return }
            heap.swapAt(parent, child)
            child = parent
        }
    }

    /// Takes out the earliest if its time has come.
    mutating func pop(until now: ReactorInstant) -> Due? {
        guard let first = heap.first, first.instant <= now else { return nil }
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < heap.count && heap[child].instant < heap[least].instant {
                least = child
            }
            if least == parent { return first.due }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}
