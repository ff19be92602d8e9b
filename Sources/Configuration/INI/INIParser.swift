/// Reads INI in oslo.config's dialect.
///
/// `[section]`, `key = value` or `key: value` (whichever separator comes first), lines that begin with `#` or `;` are
/// comments, lines that begin with a space or tab continue the value above them, an empty line ends a value, and one
/// pair of matching quotes around the first line of a value is removed. Keys before the first section belong to
/// `DEFAULT`. There are no comments at the end of a line. Every mistake is kept, reading goes on behind it.
package struct INIParser {
    private var document = INIDocument()
    private var section = "DEFAULT"
    private var sectionIsUsable = true
    private var pending: INIDocument.Entry?
    private var canContinue = false

    private init() {}

    package static func parse(_ text: String) -> INIDocument {
        var parser = INIParser()
        var number = 0
        // Split on bytes: Swift takes "\r\n" for one character.
        for line in text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            number += 1
            parser.read(Substring(line).trimmingTrailingWhitespace(), number)
        }
        parser.flush()
        return parser.document
    }

    private mutating func read(_ line: Substring, _ number: Int) {
        guard let first = line.first else {
            flush()
            canContinue = false
            return
        }
        if first == " " || first == "\t" {
            extend(with: line.trimmingWhitespace(), number)
            return
        }
        // A comment between a value and its continuation ends the value, as in oslo.config.
        flush()
        canContinue = false
        switch first {
        case "[": openSection(line, number)
        case "#", ";": break
        default: assign(line, number)
        }
    }

    private mutating func extend(with text: Substring, _ number: Int) {
        guard canContinue else {
            mistake(number, "continuation line without a value above it")
            return
        }
        pending?.value += "\n" + text
    }

    private mutating func openSection(_ line: Substring, _ number: Int) {
        guard line.last == "]" else {
            // The values below belong to a section whose name is not known: they are not guessed into another one.
            sectionIsUsable = false
            mistake(number, "section without a closing ]")
            return
        }
        let name = line.dropFirst().dropLast()
        guard !name.isEmpty else {
            sectionIsUsable = false
            mistake(number, "section without a name")
            return
        }
        section = String(name)
        sectionIsUsable = true
    }

    private mutating func assign(_ line: Substring, _ number: Int) {
        guard let separator = line.firstIndex(where: { $0 == "=" || $0 == ":" }) else {
            mistake(number, "expected key = value")
            return
        }
        let key = line[..<separator].trimmingWhitespace()
        guard !key.isEmpty else {
            mistake(number, "no key before \(line[separator])")
            return
        }
        canContinue = true
        guard sectionIsUsable else { return }
        let value = line[line.index(after: separator)...].trimmingWhitespace().withoutQuotes()
        pending = INIDocument.Entry(section: section, key: String(key), value: String(value), line: number)
    }

    private mutating func flush() {
        if let pending { document.entries.append(pending) }
        pending = nil
    }

    private mutating func mistake(_ line: Int, _ message: String) {
        document.mistakes.append(INIDocument.Mistake(line: line, message: message))
    }
}

extension Substring {
    func trimmingTrailingWhitespace() -> Substring {
        var end = endIndex
        while end > startIndex, self[index(before: end)].isWhitespace { end = index(before: end) }
        return self[..<end]
    }

    func trimmingWhitespace() -> Substring {
        drop(while: \.isWhitespace).trimmingTrailingWhitespace()
    }

    /// Without one pair of equal quotes around the whole.
    func withoutQuotes() -> Substring {
        guard count >= 2, let first, first == last, first == "\"" || first == "'" else { return self }
        return dropFirst().dropLast()
    }
}
