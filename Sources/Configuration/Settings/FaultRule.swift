/// When a simulated operation fails, and with what.
package struct FaultRule: Sendable, Hashable, CustomStringConvertible {
    package enum Occasion: Sendable, Hashable {
        case always
        /// The given attempt only, counted from 1.
        case nth(Int)
        /// Each attempt whose number is a multiple.
        case every(Int)
    }

    package var occasion: Occasion
    /// Error code the operation fails with.
    package var code: String

    package init(_ occasion: Occasion, code: String = "failed") {
        self.occasion = occasion
        self.code = code
    }

    /// Whether the attempt of this number, counted from 1, fails.
    package func applies(toAttempt number: Int) -> Bool {
        switch occasion {
        case .always: true
        case .nth(let nth): number == nth
        case .every(let every): number > 0 && number.isMultiple(of: every)
        }
    }

    package var description: String {
        switch occasion {
        case .always: "always \(code)"
        case .nth(let number): "nth:\(number) \(code)"
        case .every(let number): "every:\(number) \(code)"
        }
    }
}

extension FaultRule {
    /// Reads `always`, `nth:N` or `every:N` and an optional code after white space; an empty text is no rule.
    static func parse(_ text: String) throws(ValueError) -> FaultRule? {
        let words = text.split(whereSeparator: \.isWhitespace)
        guard let first = words.first else { return nil }
        guard words.count <= 2, words.dropFirst().allSatisfy({ $0.allSatisfy(isOfCode) }) else {
            throw ValueError("\(ValueParser.quoted(text)) is not a rule followed by one error code")
        }
        let code = words.count == 2 ? String(words[1]) : "failed"
        if first == "always" { return FaultRule(.always, code: code) }
        let pieces = first.split(separator: ":", omittingEmptySubsequences: false)
        if pieces.count == 2, let number = Int(pieces[1]), number > 0 {
            if pieces[0] == "nth" { return FaultRule(.nth(number), code: code) }
            if pieces[0] == "every" { return FaultRule(.every(number), code: code) }
        }
        throw ValueError("\(ValueParser.quoted(text)) is not always, nth:N or every:N with N from 1")
    }

    private static func isOfCode(_ character: Character) -> Bool {
        character.isASCII && (character.isLetter || character.isNumber || character == "_" || character == ".")
    }
}
