import AMQPModel

/// Everything a session keeps declared and consumed, in the order it was asked for, with repetitions.
struct Topology {
    private(set) var steps: [TopologyStep]
    /// Counts changes, so that somebody can wait until a certain one is in place.
    private(set) var revision = 0
    private(set) var consumers: [ConsumerDeclaration] = []
    private var queues: [String: String] = [:]

    init(steps: [TopologyStep]) {
        self.steps = steps
        note(steps)
    }

    mutating func add(_ more: [TopologyStep]) {
        steps += more
        note(more)
        revision += 1
    }

    /// Forgets steps; each removes one equal step, the last one.
    mutating func remove(_ gone: [TopologyStep]) {
        for step in gone {
            if let position = steps.lastIndex(of: step) { steps.remove(at: position) }
        }
        consumers.removeAll()
        queues.removeAll()
        note(steps)
        revision += 1
    }

    /// The queue of the consumer with this tag.
    func queue(ofConsumer tag: String) -> String? { queues[tag] }

    private mutating func note(_ steps: [TopologyStep]) {
        for case .consumer(let consumer) in steps {
            consumers.append(consumer)
            queues[consumer.tag] = consumer.queue
        }
    }

    /// What it takes to bring `queues` back: their exchanges, themselves and their bindings, in the kept order.
    func steps(forQueues queues: Set<String>) -> [TopologyStep] {
        var exchanges: Set<String> = []
        for case .binding(let binding) in steps where queues.contains(binding.queue) {
            exchanges.insert(binding.exchange)
        }
        return steps.filter { step in
            switch step {
            case .exchange(let exchange): exchanges.contains(exchange.name)
            case .queue(let declared): queues.contains(declared.name)
            case .binding(let binding): queues.contains(binding.queue)
            case .consumer: false
            }
        }
    }
}
