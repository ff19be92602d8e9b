/// How long commands wait for answers.
package struct AnswerTimes: Sendable {
    /// What the user said; stands for every limit below.
    package var chosen: Duration?
    /// `rpc_response_timeout`.
    package var usual: Duration

    private static let longOperation = Duration.seconds(1800)
    private static let gathering = Duration.seconds(5)
    /// Beside what the operation itself may take.
    private static let margin = Duration.seconds(30)
    private static let shortestMonitoring = Duration.seconds(2)

    package init(chosen: Duration? = nil, usual: Duration = .seconds(60)) {
        self.chosen = chosen
        self.usual = usual
    }

    var read: Duration { chosen ?? usual }
    var gather: Duration { chosen ?? Self.gathering }

    /// For operations that may take long; a host that dies meanwhile is noticed by ``monitor``.
    var operation: Duration { chosen ?? Self.longOperation }

    /// For an operation that itself may wait `budget`, whatever was chosen if it is less than that needs.
    func operation(budget: Duration?) -> Duration {
        guard let budget else { return operation }
        return max(chosen ?? usual, budget + Self.margin)
    }

    /// Below two seconds there are no heartbeats.
    var monitor: Duration { max(Self.shortestMonitoring, min(chosen ?? usual, usual)) }
}
