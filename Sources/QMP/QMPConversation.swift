import Support

/// What a monitor may say when: the rules of the protocol, without any I/O.
///
/// The greeting, the answer to the negotiation, then answers in any order; events at any time. Answers name the command they
/// belong to; a command whose caller has given up is still owed one, which is dropped.
struct QMPConversation: Sendable {
    enum Action: Sendable, Equatable {
        /// The greeting came: ask for the command mode.
        case negotiate
        /// The answer to a command, 0 being the negotiation.
        case answer(UInt64, Result<JSONValue, QMPError>)
        case event(QMPEvent)
        /// No QMP: the session is over.
        case violation(QMPError)
    }

    private enum Phase { case greeting, negotiation, open }

    /// The negotiation's id.
    static let negotiation: UInt64 = 0
    /// The most commands that may be without an answer at one time, those given up included.
    static let maximumOwed = 128

    private var phase = Phase.greeting
    private var owed: Set<UInt64> = []
    private var last: UInt64 = 0

    var isOpen: Bool { phase == .open }
    /// Whether the monitor carries out some commands while its main loop is busy with others.
    private(set) var offersOutOfBand = false

    /// The id of a new command, `nil` if too many are without an answer.
    mutating func command() -> UInt64? {
        guard phase == .open, owed.count < Self.maximumOwed else { return nil }
        last += 1
        owed.insert(last)
        return last
    }

    /// The command was never sent, so no answer is due.
    mutating func withdraw(_ id: UInt64) { owed.remove(id) }

    mutating func received(_ message: JSONValue) -> Action {
        guard let message = message.objectValue else { return violation("a message that is no object") }
        switch phase {
        case .greeting:
            // QEMU holds events back until the negotiation; one of the moment in which it takes the connection slips by.
            if let event = message["event"] { return self.event(event, message) }
            guard message["QMP"]?["version"]?["qemu"]?.objectValue != nil else { return violation("no greeting") }
            phase = .negotiation
            offersOutOfBand = message["QMP"]?["capabilities"]?.arrayValue?.contains("oob") ?? false
            owed.insert(Self.negotiation)
            return .negotiate
        case .negotiation, .open:
            if let event = message["event"] { return self.event(event, message) }
            return answer(message)
        }
    }

    private mutating func answer(_ message: JSONObject) -> Action {
        guard let number = message["id"]?.intValue, let id = UInt64(exactly: number) else {
            let text = message["error"]?["desc"]?.stringValue
            return violation(text.map { "an error that belongs to no command: \($0)" } ?? "an answer without an id")
        }
        guard owed.remove(id) != nil else { return violation("an answer to command \(id), which nobody gave") }
        if let value = message["return"] {
            if id == Self.negotiation { phase = .open }
            return .answer(id, .success(value))
        }
        guard let error = message["error"]?.objectValue, let text = error["desc"]?.stringValue else {
            return violation("an answer that neither returns nor refuses")
        }
        return .answer(id, .failure(QMPError(.refused, text, errorClass: error["class"]?.stringValue)))
    }

    private func event(_ name: JSONValue, _ message: JSONObject) -> Action {
        guard let name = name.stringValue else { return violation("an event without a name") }
        let time = message["timestamp"]
        // QEMU writes -1 for both when the clock cannot be read.
        let seconds = max(0, time?["seconds"]?.intValue ?? 0)
        let microseconds = max(0, time?["microseconds"]?.intValue ?? 0)
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000)
        guard !overflow, microseconds < 1_000_000 else { return violation("an event beyond all time") }
        return .event(
            QMPEvent(name: name, data: message["data"]?.objectValue ?? [:], microseconds: product &+ microseconds)
        )
    }

    private func violation(_ what: String) -> Action {
        .violation(QMPError(.protocolViolation, "the monitor sent \(what)"))
    }
}
