import OsloMessaging
import RPCClient
import Support

/// A contiguous piece of a console log, as a host sent it.
package struct ConsolePiece: Sendable, Hashable {
    package let host: String
    package let data: [UInt8]
    /// Absolute offset of the first byte.
    package let offset: Int64
    package let nextOffset: Int64
    let firstOffset: Int64
    let endOffset: Int64

    init(_ answer: JSONValue, host: String) throws(ControlError) {
        guard let text = answer["data"]?.stringValue, let data = Base64.decode(text),
            let offset = answer["offset"]?.intValue, let next = answer["next_offset"]?.intValue,
            let first = answer["first_offset"]?.intValue, let end = answer["end_offset"]?.intValue
        else { throw ControlError(.unexpectedAnswer, "a piece of a console log was expected") }
        self.init(host: host, data: data, offset: offset, nextOffset: next, firstOffset: first, endOffset: end)
    }

    init(host: String, data: [UInt8], offset: Int64, nextOffset: Int64, firstOffset: Int64, endOffset: Int64) {
        self.host = host
        self.data = data
        self.offset = offset
        self.nextOffset = nextOffset
        self.firstOffset = firstOffset
        self.endOffset = endOffset
    }
}

/// What part of a console is wanted.
package struct ConsoleSelection: Sendable, Hashable {
    /// Only so many lines from the end.
    package var tail: Int?
    /// Go on with what comes.
    package var follow: Bool
    /// Begin at the latest boot.
    package var sinceBoot: Bool

    package init(tail: Int? = nil, follow: Bool = false, sinceBoot: Bool = false) {
        self.tail = tail
        self.follow = follow
        self.sinceBoot = sinceBoot
    }
}

/// Reads the console of one instance by offset: nothing twice, nothing left out that is still kept, also when the
/// instance stops, starts, or moves to another host meanwhile.
package struct ConsoleReader: Sendable {
    private static let pieceBytes: Int64 = 256 << 10
    /// What a tail is looked for in.
    private static let largestTail: Int64 = 32 << 20
    /// How long a host may hold a read that finds nothing new.
    private static let wait = 4
    /// States in which a host removes an instance's files.
    private static let leaving: Set<String> = ["migrating-out", "deleting"]
    /// A host that does not answer, or does not know the instance any more, is given so long before all are asked.
    private static let pauses: [Duration] = [.milliseconds(50), .milliseconds(200), .milliseconds(500), .seconds(1)]

    private let compute: ComputeClient
    private let reference: InstanceReference

    package init(_ compute: ComputeClient, _ reference: InstanceReference) {
        self.compute = compute
        self.reference = reference
    }

    /// Hands out the selection in order; a following reader ends with the instance, or when it is cancelled.
    ///
    /// - Parameter notice: what a reader of the output should know, one sentence each.
    package func read(
        _ selection: ConsoleSelection,
        notice: (String) -> Void = { _ in },
        output: (ConsolePiece) throws -> Void
    ) async throws {
        // Also on a named host: the uuid is what stays when the instance moves.
        let place = try await compute.find(reference)
        var offset: Int64 = 0
        let end = try await piece(place, -1, 1).endOffset
        if selection.sinceBoot { offset = try await latestBoot(place) }
        if let tail = selection.tail { offset = try await start(ofTail: tail, place, offset, end) }
        while offset < end {
            let next = try await piece(place, offset, min(Self.pieceBytes, end - offset))
            if next.data.isEmpty { break }
            try output(next)
            offset = next.nextOffset
        }
        guard selection.follow else { return }
        try await follow(place, from: max(offset, end), notice, output)
    }

    private func follow(
        _ first: Instance,
        from start: Int64,
        _ notice: (String) -> Void,
        _ output: (ConsolePiece) throws -> Void
    ) async throws {
        var place = first
        var offset = start
        var isShorter = false
        while true {
            var trouble: (any Error)?
            do {
                let next = try await piece(place, offset, Self.pieceBytes, wait: Self.wait)
                if next.offset >= offset {
                    if next.offset > offset { notice("\(next.offset - offset) bytes were no longer kept") }
                    if !next.data.isEmpty { try output(next) }
                    offset = next.nextOffset
                    isShorter = false
                    continue
                }
                // Shorter than before: the log has just moved away with its instance, or it is another one.
                if isShorter {
                    notice("the console log of \(place.name) begins anew")
                    offset = next.firstOffset
                    isShorter = false
                    continue
                }
                isShorter = true
            } catch  where Self.mayHaveMoved(error) {
                trouble = error
            }
            guard let found = try await lookAgain(for: place, after: trouble) else {
                return notice("instance \(place.name) is gone")
            }
            // While it is on its way its log says nothing.
            if Self.leaving.contains(found.state) { isShorter = false }
            if found.host != place.host { notice("\(place.name) is on \(found.host) now") }
            place = found
        }
    }

    private static func mayHaveMoved(_ error: any Error) -> Bool {
        switch error {
        case let failure as RemoteFailure:
            ["InstanceNotFound", "HypervisorUnavailable", "ConsoleLogOutputException"].contains(failure.className)
        case let error as RPCClientError: error.isTimeout || error.code == .undeliverable
        default: false
        }
    }

    /// - Returns: where the instance is now; `nil` when all hosts that answer say that there is none.
    private func lookAgain(for place: Instance, after error: (any Error)?) async throws -> Instance? {
        for pause in Self.pauses {
            try await Task.sleep(for: pause)
            do {
                return try await compute.findAnywhere(InstanceReference(place.uuid))
            } catch let failure as ControlError where failure.code == .notFound {
                continue
            } catch let failure as ControlError where failure.code == .noAnswer || failure.code == .ambiguous {
                continue
            }
        }
        // Whoever was silent may still have it.
        if let error, error is RPCClientError { throw error }
        return nil
    }

    private func latestBoot(_ place: Instance) async throws -> Int64 {
        let marks = try await ask(place, "console_marks", [:], 0).arrayValue ?? []
        return Self.latestBoot(
            marks.filter { $0["kind"]?.stringValue == "boot" }
                .map { ($0["offset"]?.intValue ?? 0, $0["time"]?.doubleValue ?? 0) }
        )
    }

    /// Of marks in their order. Those within a second are one boot, seen by the operation and by the host.
    static func latestBoot(_ boots: [(offset: Int64, time: Double)]) -> Int64 {
        guard var latest = boots.last else { return 0 }
        for boot in boots.dropLast().reversed() where latest.time - boot.time < 1 { latest = boot }
        return latest.offset
    }

    /// The offset at which the last `lines` lines begin; a newline at the very end ends the last of them.
    private func start(
        ofTail lines: Int,
        _ place: Instance,
        _ floor: Int64,
        _ end: Int64
    ) async throws -> Int64 {
        guard lines > 0 else { return end }
        var scan = TailScan(lines: lines)
        var upper = end
        let lowest = max(floor, end - Self.largestTail)
        while upper > lowest {
            let lower = max(lowest, upper - Self.pieceBytes)
            var block: [UInt8] = []
            var position = lower
            while position < upper {
                let next = try await piece(place, position, upper - position)
                // What is no longer kept ends the search.
                if next.data.isEmpty || next.offset >= upper { break }
                if next.offset > position { block = [] }
                block += next.data
                position = next.nextOffset
            }
            let start = position - Int64(block.count)
            if let index = scan.take(block) { return start + Int64(index) }
            if block.isEmpty || start > lower { return start }
            upper = lower
        }
        return lowest
    }

    private func piece(_ place: Instance, _ offset: Int64, _ count: Int64, wait: Int = 0) async throws -> ConsolePiece {
        let args: JSONObject = [
            "offset": .int(offset), "max_bytes": .int(max(1, count)), "wait": .int(Int64(wait)),
        ]
        return try ConsolePiece(try await ask(place, "console_read", args, wait), host: place.host)
    }

    private func ask(_ place: Instance, _ method: String, _ args: JSONObject, _ wait: Int) async throws -> JSONValue {
        var args = args
        args["instance"] = place.argument
        return try await compute.sender.call(
            compute.target(place.host),
            method,
            args,
            timeout: compute.times.read + .seconds(wait),
            monitorTimeout: nil
        )
    }
}

/// Looks for the beginning of the last lines, block by block from the end.
struct TailScan {
    private let lines: Int
    private var newlines = 0
    private var isFirst = true

    init(lines: Int) { self.lines = lines }

    /// Takes the block before the last one.
    ///
    /// - Returns: the index in it at which the tail begins, once it is known.
    mutating func take(_ block: [UInt8]) -> Int? {
        if isFirst, block.last == UInt8(ascii: "\n") { newlines = -1 }
        if !block.isEmpty { isFirst = false }
        for index in block.indices.reversed() where block[index] == UInt8(ascii: "\n") {
            newlines += 1
            if newlines == lines { return index + 1 }
        }
        return nil
    }
}
