import Support

/// Pieces of a console log in the form that is printed.
package struct ConsoleOutput: Sendable {
    package enum Form: Sendable {
        /// As it was captured.
        case bytes
        /// Harmless for a terminal.
        case neutralised
        /// One JSON document at the end.
        case jsonDocument
        /// One JSON document for each piece.
        case jsonLines
    }

    private let form: Form
    private let timestamps: Bool
    private var filter = TerminalFilter()
    private var stamper = LineStamper()
    private var collected: [ConsolePiece] = []
    /// Whether what was taken so far ends with a line feed, or is nothing.
    package private(set) var endsWithLine = true

    package init(form: Form, timestamps: Bool) {
        self.form = form
        self.timestamps = timestamps
    }

    /// - Parameter time: when the piece arrived.
    /// - Returns: what to print now.
    package mutating func take(_ piece: ConsolePiece, at time: String) -> [UInt8] {
        if let last = piece.data.last { endsWithLine = last == UInt8(ascii: "\n") }
        switch form {
        case .jsonDocument:
            collected.append(piece)
            return []
        case .jsonLines:
            return Self.line([piece], time: timestamps ? time : nil)
        case .bytes, .neutralised:
            let bytes = form == .neutralised ? filter.take(piece.data) : piece.data
            return timestamps ? stamper.take(bytes, stamp: time + " ") : bytes
        }
    }

    /// - Returns: what is to be printed at the end.
    package mutating func finish() -> [UInt8] {
        if form == .jsonDocument || form == .jsonLines { endsWithLine = true }
        return switch form {
        case .jsonDocument: Self.line(collected, time: nil)
        case .neutralised: filter.finish()
        case .bytes, .jsonLines: []
        }
    }

    private static func line(_ pieces: [ConsolePiece], time: String?) -> [UInt8] {
        let data = pieces.flatMap(\.data)
        var object: JSONObject = [
            "host": pieces.last.map { .string($0.host) } ?? .null,
            "offset": .int(pieces.first?.offset ?? 0),
            "next_offset": .int(pieces.last?.nextOffset ?? 0),
            "text": .string(String(decoding: data, as: UTF8.self)),
            "data": .string(Base64.encode(data)),
        ]
        if let time { object["time"] = .string(time) }
        return Array((Presentation.line(.object(object)) + "\n").utf8)
    }
}
