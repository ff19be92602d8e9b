import AMQPModel
import DequeModule

/// The declarations of a connection, one job after the other; a large job on several channels at once.
///
/// The broker works off a channel one method at a time, and each queue has it wait for several of its processes: on
/// four channels thousands of queues are there in a third of the time. A queue and its bindings stay on one channel in
/// their order. Exchanges, which bindings on any channel need, come first on the first channel alone, so that other
/// properties than ours are found once; the other channels then ask for them again, as a repetition after a failure
/// has to (oslo.messaging wire, section 15).
///
/// Jobs below ``parallelQueues`` queues, and so those of a single server, go out in their order on one channel.
struct Declarations {
    typealias Item = DeclarationRunner.Item
    typealias Outcome = DeclarationRunner.Outcome

    /// Channel 1 is for messages.
    static let firstChannel: UInt16 = 2
    static let channels = 4
    static let parallelQueues = 32

    private struct Job {
        let id: Int
        /// Done one after the other, each on so many channels as it has parts.
        var stages: Deque<[Item]>
        let attempts: Int?
        var partsLeft = 0
        var failure: String?
    }

    private var runners: [DeclarationRunner]
    private var usable = 1
    private var isConnected = false
    private var jobs: Deque<Job> = []
    private var nextID = 0

    init(refusedPause: Duration) {
        runners = (0..<Self.channels).map { _ in DeclarationRunner(refusedPause: refusedPause) }
    }

    /// Nothing is under way or waiting.
    var isIdle: Bool { jobs.isEmpty }

    /// Adds a job; jobs run one after the other. Consumer steps are not for these channels and are left out.
    ///
    /// - Parameter attempts: how often a part of it may be tried; `nil` = for ever.
    mutating func submit(_ items: [Item], attempts: Int? = nil) -> Int {
        nextID += 1
        let items = items.filter { !$0.isConsumer }
        jobs.append(Job(id: nextID, stages: Self.stages(items), attempts: attempts))
        if jobs.count == 1 { beginStage() }
        return nextID
    }

    /// - Parameter channelMaximum: the highest channel number that may be used.
    mutating func connected(channelMaximum: UInt16) {
        isConnected = true
        usable = max(1, min(Self.channels, Int(channelMaximum) - Int(Self.firstChannel) + 1))
        for index in runners.indices { runners[index].connected() }
    }

    /// The connection is gone and all jobs with it; what is needed on the next one is submitted anew.
    mutating func disconnected() {
        isConnected = false
        usable = 1
        jobs.removeAll()
        for index in runners.indices { runners[index].disconnected() }
    }

    /// When ``next(now:)`` may have something although nothing was received.
    var wakeAt: Moment { runners.map(\.wakeAt).min() ?? .never }

    /// What to send now, and on which channels.
    mutating func next(now: Moment) -> [(channel: UInt16, methods: [OutboundMethod])] {
        runners.indices.compactMap { index in
            let methods = runners[index].next(now: now)
            return methods.isEmpty ? nil : (Self.firstChannel + UInt16(index), methods)
        }
    }

    /// An empty job is finished without asking anybody.
    mutating func finishEmpty() -> Outcome? {
        guard isConnected, let job = jobs.first, job.partsLeft == 0 else { return nil }
        return finish()
    }

    /// Whether a channel is one of these.
    static func has(_ channel: UInt16) -> Bool { firstChannel..<firstChannel + UInt16(channels) ~= channel }

    mutating func channelOpened(_ channel: UInt16) { runners[index(channel)].channelOpened() }

    /// A declaration was answered.
    mutating func answer(_ channel: UInt16) -> Outcome? {
        runners[index(channel)].answer().flatMap { ended($0, index(channel)) }
    }

    /// The broker closed the channel over the first unanswered step.
    mutating func channelClosed(_ channel: UInt16, code: UInt16, text: String, now: Moment) -> Outcome? {
        runners[index(channel)].channelClosed(code: code, text: text, now: now).flatMap { ended($0, index(channel)) }
    }

    private func index(_ channel: UInt16) -> Int { Int(channel - Self.firstChannel) }

    // MARK: - Jobs and their parts

    private static func stages(_ items: [Item]) -> Deque<[Item]> {
        guard !items.isEmpty else { return [] }
        let exchanges = items.filter { $0.queue == nil }
        let isLarge = Set(items.compactMap(\.queue)).count >= parallelQueues
        return isLarge && !exchanges.isEmpty ? [exchanges, items] : [items]
    }

    /// What each channel does of a stage: queues in turn, with the exchanges for those that follow on them.
    private func parts(_ stage: [Item]) -> [[Item]] {
        var channels: [String: Int] = [:]
        for queue in stage.lazy.compactMap(\.queue) where channels[queue] == nil {
            channels[queue] = channels.count % usable
        }
        guard usable > 1, channels.count >= Self.parallelQueues else { return [stage] }
        var parts = [[Item]](repeating: [], count: usable)
        for item in stage {
            if let queue = item.queue {
                parts[channels[queue, default: 0]].append(item)
            } else {
                for index in parts.indices { parts[index].append(item) }
            }
        }
        return parts
    }

    private mutating func beginStage() {
        guard !jobs.isEmpty, let stage = jobs[0].stages.popFirst() else { return }
        let parts = parts(stage)
        jobs[0].partsLeft = parts.count
        for (index, part) in parts.enumerated() { runners[index].submit(part, attempts: jobs[0].attempts) }
    }

    private mutating func ended(_ outcome: Outcome, _ index: Int) -> Outcome? {
        guard !jobs.isEmpty else { return nil }
        switch outcome {
        case .paused: return outcome
        case .mismatch(let step, _):
            for other in runners.indices { runners[other].usePassively(step) }
            return outcome
        case .failed(_, let text): jobs[0].failure = jobs[0].failure ?? text
        case .finished: break
        }
        jobs[0].partsLeft -= 1
        guard jobs[0].partsLeft == 0 else { return nil }
        if jobs[0].failure == nil, !jobs[0].stages.isEmpty {
            beginStage()
            return nil
        }
        return finish()
    }

    private mutating func finish() -> Outcome? {
        guard let job = jobs.popFirst() else { return nil }
        beginStage()
        return job.failure.map { .failed(job: job.id, text: $0) } ?? .finished(job: job.id)
    }
}

extension DeclarationRunner.Item {
    /// The queue it is about; `nil` for an exchange.
    fileprivate var queue: String? {
        switch self {
        case .deleteQueue(let queue): queue
        case .declare(.queue(let queue)): queue.name
        case .declare(.binding(let binding)): binding.queue
        case .declare(.consumer(let consumer)): consumer.queue
        case .declare(.exchange): nil
        }
    }
}
