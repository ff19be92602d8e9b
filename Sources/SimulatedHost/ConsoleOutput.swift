/// What a guest has printed and its reader has not taken yet.
///
/// Two stages: bytes that are printed, at most ``limit`` of them, and texts still to be printed, which are made only
/// as fast as there is room, so that a guest that prints a million lines costs no memory. Text for which time runs
/// (``append(_:)``) is never held up: when nobody reads, it pushes the oldest printed bytes out, and they are counted.
struct ConsoleOutput: Sendable {
    /// A text that is made when its turn comes.
    enum Generator: Sendable, Hashable {
        case bytes([UInt8])
        /// Lines of the boot log, `next` to `last`, counted from 1.
        case bootLog(next: UInt64, last: UInt64)
        /// `line N`, filled up to the length given.
        case lines(next: UInt64, last: UInt64, length: Int)
        /// The same without an end.
        case flood(next: UInt64, length: Int)
        /// Blocks of the 256 byte values.
        case blocks(UInt64)
    }

    /// Texts are made while fewer bytes than this wait.
    private static let fillMark = 32 << 10

    let limit: Int
    /// Printed bytes; those before `start` are gone.
    private var buffer: [UInt8] = []
    private var start = 0
    private(set) var generators: [Generator] = []
    /// Bytes pushed out because nobody read them.
    private(set) var dropped: UInt64 = 0
    /// Bytes printed since the machine was defined.
    private(set) var printed: UInt64 = 0
    /// Whether the last printed byte ended a line.
    private(set) var isAtLineStart = true

    init(limit: Int) { self.limit = limit }

    var count: Int { buffer.count - start }
    var isEmpty: Bool { count == 0 && generators.isEmpty }
    var waiting: ArraySlice<UInt8> { buffer[start...] }

    // MARK: Printing

    /// Prints now; pushes out the oldest bytes when there is no room.
    mutating func append(_ bytes: [UInt8]) {
        guard !bytes.isEmpty else { return }
        print(bytes)
        guard count > limit else { return }
        let excess = count - limit
        dropped += UInt64(excess)
        consume(excess)
    }

    /// Prints after what still waits to be made, without ever pushing anything out.
    mutating func enqueue(_ generator: Generator) {
        switch (generators.last, generator) {
        case (.lines(let next, let last, let length), .lines(let other, let end, let otherLength))
        where other == last + 1 && otherLength == length:
            generators[generators.count - 1] = .lines(next: next, last: end, length: length)
        case (.blocks(let count), .blocks(let more)):
            generators[generators.count - 1] = .blocks(count + more)
        case (.flood, _):
            // A flood has no end: what comes after it goes before it.
            generators.insert(generator, at: generators.count - 1)
        default:
            generators.append(generator)
        }
    }

    /// Stops whatever was still to be printed.
    mutating func cutOff() { generators.removeAll() }

    /// Takes over what another console of the same guest had not printed yet.
    mutating func take(generators: [Generator], isAtLineStart: Bool) {
        self.generators = generators
        self.isAtLineStart = isAtLineStart
    }

    /// Puts bytes that were taken and not read back in front.
    mutating func putBack(_ bytes: some Collection<UInt8>) {
        guard !bytes.isEmpty else { return }
        buffer.replaceSubrange(..<start, with: bytes)
        start = 0
        guard count > limit else { return }
        let excess = count - limit
        dropped += UInt64(excess)
        consume(excess)
    }

    /// Makes text until enough waits.
    mutating func fill() {
        while count < min(Self.fillMark, limit), !generators.isEmpty { makeSome() }
    }

    /// Forgets the first bytes; they were delivered.
    mutating func consume(_ amount: Int) {
        start += amount
        if start == buffer.count {
            buffer.removeAll(keepingCapacity: buffer.capacity <= 1024)
            start = 0
        } else if start > 64 << 10, start > buffer.count / 2 {
            buffer.removeFirst(start)
            start = 0
        }
    }

    // MARK: - Making text

    private mutating func makeSome() {
        let generator = generators.removeFirst()
        var rest: Generator?
        switch generator {
        case .bytes(let bytes):
            print(bytes)
        case .bootLog(let next, let last):
            let end = min(last, next + 255)
            if next <= last { for number in next...end { print(Self.bootLine(number, of: last)) } }
            if end < last { rest = .bootLog(next: end + 1, last: last) }
        case .lines(let next, let last, let length):
            let end = min(last, next + 255)
            if next <= last { printLines(next...end, length) }
            if end < last { rest = .lines(next: end + 1, last: last, length: length) }
        case .flood(let next, let length):
            printLines(next...(next + 255), length)
            rest = .flood(next: next + 256, length: length)
        case .blocks(let amount):
            print(Array(0...255))
            if amount > 1 { rest = .blocks(amount - 1) }
        }
        if let rest { generators.insert(rest, at: 0) }
    }

    private mutating func print(_ bytes: [UInt8]) {
        guard let last = bytes.last else { return }
        buffer.append(contentsOf: bytes)
        printed += UInt64(bytes.count)
        isAtLineStart = last == UInt8(ascii: "\n")
    }

    private mutating func printLines(_ numbers: ClosedRange<UInt64>, _ length: Int) {
        var text: [UInt8] = []
        text.reserveCapacity(numbers.count * max(length, 16))
        if !isAtLineStart { text.append(UInt8(ascii: "\n")) }
        for number in numbers { Self.appendLine(number, length, to: &text) }
        print(text)
    }

    /// `line N`, a blank and dots up to the length, line feed.
    static func appendLine(_ number: UInt64, _ length: Int, to text: inout [UInt8]) {
        let start = text.count
        text.append(contentsOf: "line ".utf8)
        text.append(contentsOf: String(number).utf8)
        if text.count - start + 2 < length {
            text.append(UInt8(ascii: " "))
            text.append(contentsOf: repeatElement(UInt8(ascii: "."), count: length - (text.count - start) - 1))
        }
        text.append(UInt8(ascii: "\n"))
    }

    private static func bootLine(_ number: UInt64, of last: UInt64) -> [UInt8] {
        let microseconds = String((number - 1) * 1250 % 1_000_000)
        let seconds = String((number - 1) * 1250 / 1_000_000)
        let padding = String(repeating: " ", count: max(0, 5 - seconds.utf8.count))
        let zeros = String(repeating: "0", count: 6 - microseconds.utf8.count)
        return Array("[\(padding)\(seconds).\(zeros)\(microseconds)] boot \(number)/\(last)\n".utf8)
    }
}
