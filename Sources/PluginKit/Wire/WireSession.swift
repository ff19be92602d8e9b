import Glibc
import HostConformance
import Support
import Synchronization

/// One connection with a plugin, of which every byte is kept and judged.
///
/// What comes is taken apart on the reactor's thread; checks ask for what they wait for. Nothing is corrected on either
/// side: what is sent may be wrong on purpose, and what comes and is wrong is in ``violations``.
final class WireSession: ReactorHandler {
    /// Everything that came, so far.
    struct State: Sendable {
        var decoder = WireDecoder()
        var hasEnded = false
        var violations: [WireViolation] = []
        /// The plugin's `hello`, or its error in place of it.
        var hello: JSONObject?
        var refusal: WireError?
        /// What it says we did wrong, before it ends the connection.
        var complaint: String?
        var lastID: Int64 = 0
        var methods: [Int64: String] = [:]
        var answers: [Int64: WireAnswer] = [:]
        var answerOrder: [Int64] = []
        var pongs: Set<Int64> = []
        var progress: [Int64: [JSONObject]] = [:]
        var events: [JSONObject] = []
        /// When each of them came.
        var eventTimes: [ContinuousClock.Instant] = []
        var streams: [Int64: WireStream] = [:]
        var outgoing: [UInt8] = []
        var sendingFails = false
    }

    /// How long a plugin may take for what it does at once, on a loaded machine.
    static let patience = Duration.seconds(20)

    /// `nil` for a plugin that is reached over a socket.
    let process: PluginProcess?
    /// How long the plugin may take to exit.
    let exitLimit: Duration
    private let input: Int32
    private let output: Int32
    private let reactor: Reactor
    private let token = ReactorToken()
    private let state = Mutex(State())
    private let isClosed = Mutex(false)

    init(process: PluginProcess, exitLimit: Duration, reactor: Reactor) {
        self.exitLimit = exitLimit
        self.process = process
        self.reactor = reactor
        input = process.input
        output = process.output
    }

    /// Over a connected socket, which it takes over.
    init(socket: Int32, exitLimit: Duration, reactor: Reactor) {
        self.exitLimit = exitLimit
        process = nil
        self.reactor = reactor
        input = socket
        output = socket
    }

    func start() { reactor.add(token, output, self) }

    // MARK: What came

    func ready() -> ReactorVerdict {
        guard let bytes = Descriptors.read(output) else { return .again }
        return state.withLock { state in
            guard !bytes.isEmpty else {
                state.hasEnded = true
                if state.decoder.rest > 0 {
                    state.violate("2", "the output ends in the middle of a frame, after \(state.decoder.rest) bytes")
                }
                return .remove
            }
            state.decoder.append(bytes)
            do throws(WireViolation) {
                while let frame = try state.decoder.next() { state.receive(frame) }
            } catch {
                state.violations.append(error)
                state.hasEnded = true
                return .remove
            }
            return .again
        }
    }

    func refused(_ error: SystemCallError) { state.withLock { $0.hasEnded = true } }

    /// A look at everything.
    func look<Result: Sendable>(_ body: (inout State) throws -> Result) rethrows -> Result {
        try state.withLock { try body(&$0) }
    }

    var violations: [WireViolation] { look { $0.violations } }
    var hasEnded: Bool { look { $0.hasEnded } }

    /// Waits until `find` finds something.
    ///
    /// - Parameter what: what is waited for, for people.
    /// - Throws: ``CheckFailure`` when the time is over, or the plugin ends without it or breaks the protocol: what
    ///   comes after that says nothing.
    func until<Result: Sendable>(
        _ what: @autoclosure () -> String,
        within limit: Duration = patience,
        _ find: (inout State) throws -> Result?
    ) async throws -> Result {
        let deadline = ContinuousClock.now + limit
        var pause = Duration.microseconds(200)
        while true {
            let hadEnded = hasEnded
            if let found = try look(find) { return found }
            if let violation = violations.first {
                throw CheckFailure(expected: what(), seen: "section \(violation.section): \(violation.text)")
            }
            if hadEnded { throw CheckFailure(expected: what(), seen: await ending()) }
            guard ContinuousClock.now < deadline else {
                throw CheckFailure(expected: what(), seen: "nothing of the kind within \(limit)")
            }
            try await Task.sleep(for: pause)
            pause = min(pause * 2, .milliseconds(10))
        }
    }

    /// How the plugin ended, in words, with the last it said on standard error.
    private func ending() async -> String {
        var text = "the plugin's output ended"
        if let violation = violations.last { text = "the connection is broken by \(violation.text)" }
        if let complaint = look({ $0.complaint }) { text += " with the complaint: \(complaint.prefix(200))" }
        guard let process else { return text }
        // Its status comes a moment after the end of its output.
        for _ in 0..<50 where process.ending == nil { try? await Task.sleep(for: .milliseconds(10)) }
        if let end = process.ending { text += ", \(end)" }
        let said = process.errors.text.suffix(300)
        return said.isEmpty ? text : text + "; on standard error: \(String(said).debugDescription)"
    }

    // MARK: Sending

    /// Sends bytes as they are. What the plugin does not take at once is sent as it takes it.
    ///
    /// - Throws: ``CheckFailure`` when it takes nothing for 20 s, or does not read any more.
    func send(bytes: [UInt8]) async throws {
        look { $0.outgoing += bytes }
        let deadline = ContinuousClock.now + Self.patience
        while !flush() {
            guard ContinuousClock.now < deadline else {
                throw CheckFailure(expected: "a plugin that reads its input", seen: "it reads nothing")
            }
            try await Task.sleep(for: .milliseconds(2))
        }
        if look({ $0.sendingFails }) {
            throw CheckFailure(expected: "a plugin that reads its input", seen: await ending())
        }
    }

    func send(_ message: JSONObject) async throws { try await send(bytes: WireBytes.message(message)) }

    /// Whether everything is sent, or never will be.
    private func flush() -> Bool {
        look { state in
            while !state.outgoing.isEmpty {
                let rest = state.outgoing[...]
                guard let count = process.map({ $0.write(rest) }) ?? Descriptors.write(input, rest) else {
                    state.sendingFails = true
                    state.outgoing = []
                    return true
                }
                if count == 0 { return false }
                state.outgoing.removeFirst(count)
            }
            return true
        }
    }

    /// End of file for the plugin; what it still sends is read.
    func closeInput() {
        if let process { process.closeInput() } else { shutdown(input, Int32(SHUT_WR)) }
    }

    /// Ends the connection, and the process if it does not end by itself.
    ///
    /// - Returns: how the process ended; `nil` for a socket, and when the process had to be killed.
    @discardableResult
    func end(within limit: Duration? = nil) async -> PluginProcess.End? {
        closeInput()
        let end = await process?.end(within: limit ?? exitLimit)
        await stopReading()
        return end ?? nil
    }

    /// Closes the reading end: whatever the plugin writes from now on goes nowhere.
    func stopReading() async {
        let isFirst = isClosed.withLock { closed in
            defer { closed = true }
            return !closed
        }
        guard isFirst else { return }
        let output = output
        await withCheckedContinuation { continuation in
            reactor.remove(token) {
                close(output)
                continuation.resume()
            }
        }
        look { $0.hasEnded = true }
    }
}
