import AMQPModel
import DequeModule
import Support

/// Declares objects on one channel that is there for nothing else, so that a failure there disturbs neither consumers
/// nor publishes. ``Declarations`` has one or more of them.
///
/// The steps of a job are all sent before the first answer is read, which makes thousands of queues a matter of one
/// round trip. The broker answers in order and closes the channel at the first step that fails; the steps after it
/// were not looked at and go out again once the channel is open again.
///
/// Failures (oslo.messaging wire, sections 2.4, 15 and 19): on 406 the object is used as it is, through a passive
/// declaration; after 404 (auto-delete race, queue on a dead node), 405 and others the job is repeated after a pause.
struct DeclarationRunner {
    enum Item: Hashable, Sendable {
        case declare(TopologyStep)
        case deleteQueue(String)
    }

    enum Outcome: Equatable {
        case finished(job: Int)
        case failed(job: Int, text: String)
        case mismatch(TopologyStep, text: String)
        /// The job goes on after a pause.
        case paused(TopologyStep?, text: String)
    }

    private struct Job {
        let id: Int
        let items: [Item]
        /// How often it may be repeated; `nil` = for ever.
        var attemptsLeft: Int?
    }

    private enum Channel {
        case closed, opening, open
    }

    private let pauses: Backoff
    private let refusedPause: Duration
    private var channel = Channel.closed
    private var isConnected = false
    private var jobs: Deque<Job> = []
    private var sent = 0
    private var answered = 0
    /// Objects that exist with other properties and are only asked for.
    private var passive: Set<TopologyStep> = []
    private var backoff: Backoff
    private var resumeAt = Moment(nanoseconds: 0)
    private var nextID = 0

    init(refusedPause: Duration) {
        pauses = Backoff(initial: .milliseconds(100), maximum: .seconds(5))
        backoff = pauses
        self.refusedPause = refusedPause
    }

    /// Nothing is under way or waiting.
    var isIdle: Bool { jobs.isEmpty }

    /// Adds a job of at least one item; jobs run one after the other.
    @discardableResult
    mutating func submit(_ items: [Item], attempts: Int? = nil) -> Int {
        nextID += 1
        jobs.append(Job(id: nextID, items: items, attemptsLeft: attempts))
        return nextID
    }

    mutating func connected() { isConnected = true }

    /// An object was found on another channel to exist with other properties.
    mutating func usePassively(_ step: TopologyStep) { passive.insert(step) }

    /// The connection is gone and all jobs with it; what is needed on the next one is submitted anew.
    mutating func disconnected() {
        isConnected = false
        channel = .closed
        jobs.removeAll()
        sent = 0
        answered = 0
        passive.removeAll()
        backoff = pauses
        resumeAt = Moment(nanoseconds: 0)
    }

    /// When ``next(now:)`` may have something although nothing was received.
    var wakeAt: Moment { isConnected && !jobs.isEmpty && channel == .closed ? resumeAt : .never }

    /// What to send now.
    mutating func next(now: Moment) -> [OutboundMethod] {
        guard isConnected, let job = jobs.first else { return [] }
        switch channel {
        case .closed:
            guard resumeAt <= now else { return [] }
            channel = .opening
            return [.channelOpen]
        case .opening:
            return []
        case .open:
            guard sent < job.items.count else { return [] }
            let methods = job.items[sent...].compactMap { $0.method(passive: passive) }
            sent = job.items.count
            return methods
        }
    }

    mutating func channelOpened() {
        if channel == .opening { channel = .open }
    }

    /// A declaration was answered.
    mutating func answer() -> Outcome? {
        guard let job = jobs.first, answered < sent else { return nil }
        answered += 1
        return answered == job.items.count ? finish() : nil
    }

    /// The broker closed the channel over the first unanswered step.
    mutating func channelClosed(code: UInt16, text: String, now: Moment) -> Outcome? {
        channel = .closed
        guard var job = jobs.first else { return nil }
        let step: TopologyStep? = if case .declare(let step)? = job.items[safe: answered] { step } else { nil }
        let failed = answered
        answered = 0
        sent = 0
        if code == 406, let step, step.canBePassive, !passive.contains(step) {
            passive.insert(step)
            // Objects declared before the failing step stay declared.
            jobs[0] = Job(id: job.id, items: Array(job.items[failed...]), attemptsLeft: job.attemptsLeft)
            return .mismatch(step, text: text)
        }
        if code == 404, let step { passive.remove(step) }
        if let left = job.attemptsLeft {
            guard left > 1 else {
                jobs.removeFirst()
                return .failed(job: job.id, text: text)
            }
            job.attemptsLeft = left - 1
            jobs[0] = job
        }
        resumeAt = now + (code == 403 || code == 530 ? refusedPause : backoff.next())
        return .paused(step, text: text)
    }

    private mutating func finish() -> Outcome? {
        guard let job = jobs.popFirst() else { return nil }
        sent = 0
        answered = 0
        backoff = pauses
        return .finished(job: job.id)
    }
}

extension DeclarationRunner.Item {
    var isConsumer: Bool {
        if case .declare(.consumer) = self { true } else { false }
    }

    fileprivate func method(passive: Set<TopologyStep>) -> OutboundMethod? {
        switch self {
        case .deleteQueue(let queue): .queueDelete(queue)
        case .declare(let step):
            switch step {
            case .exchange(let exchange): .exchangeDeclare(exchange, passive: passive.contains(step))
            case .queue(let queue): .queueDeclare(queue, passive: passive.contains(step))
            case .binding(let binding): .queueBind(binding)
            case .consumer: nil
            }
        }
    }
}

extension TopologyStep {
    fileprivate var canBePassive: Bool {
        switch self {
        case .exchange, .queue: true
        case .binding, .consumer: false
        }
    }
}

extension Array {
    fileprivate subscript(safe position: Int) -> Element? { indices.contains(position) ? self[position] : nil }
}
