/// Finds pairs of key and value in text, in whatever notation: `key=value`, `key: value`, JSON, Python's `repr`.
enum SecretText {
    static func masking(_ text: String, isSecret: (Substring) -> Bool, mask: String) -> String {
        var result = ""
        var rest = text[...]
        while let separator = rest.firstIndex(where: { $0 == ":" || $0 == "=" }) {
            let after = rest.index(after: separator)
            let key = key(before: separator, in: rest)
            guard !key.isEmpty, isSecret(key) else {
                result += rest[..<after]
                rest = rest[after...]
                continue
            }
            let value = rest[after...].drop { $0 == " " }
            let end = end(ofValue: value)
            result += rest[..<value.startIndex]
            result += end > value.startIndex ? mask : ""
            rest = rest[end...]
        }
        return result + rest
    }

    private static func key(before separator: String.Index, in text: Substring) -> Substring {
        var head = text[..<separator]
        while let last = head.last, last == " " || last == "\"" || last == "'" || last == "\\" {
            head = head.dropLast()
        }
        var start = head.endIndex
        while start > head.startIndex {
            let previous = head.index(before: start)
            let character = head[previous]
            guard character.isLetter || character.isNumber || character == "_" || character == "-" else { break }
            start = previous
        }
        return head[start...]
    }

    /// A quoted value ends with its quote, a list or map with its bracket, a bare one with white space or a comma; one
    /// that is not closed reaches to the end.
    private static func end(ofValue value: Substring) -> String.Index {
        guard let first = value.first else { return value.startIndex }
        if first == "\"" || first == "'" { return endOfQuoted(value, quote: first) }
        if first == "\\", value.dropFirst().first == "\"" { return endOfEscapedQuoted(value) }
        if first == "[" || first == "{" || first == "(" { return endOfBracketed(value) }
        return value.firstIndex { $0.isWhitespace || ",;&}])".contains($0) } ?? value.endIndex
    }

    private static func endOfQuoted(_ value: Substring, quote: Character) -> String.Index {
        var position = value.index(after: value.startIndex)
        while position < value.endIndex {
            let character = value[position]
            position = value.index(after: position)
            if character == "\\", position < value.endIndex {
                position = value.index(after: position)
            } else if character == quote {
                return position
            }
        }
        return value.endIndex
    }

    /// JSON inside JSON, as the envelope of oslo.messaging has it.
    private static func endOfEscapedQuoted(_ value: Substring) -> String.Index {
        value.dropFirst(2).firstRange(of: "\\\"")?.upperBound ?? value.endIndex
    }

    private static func endOfBracketed(_ value: Substring) -> String.Index {
        var depth = 0
        var position = value.startIndex
        while position < value.endIndex {
            let character = value[position]
            if character == "\"" || character == "'" {
                position = endOfQuoted(value[position...], quote: character)
                continue
            }
            position = value.index(after: position)
            if "[{(".contains(character) { depth += 1 }
            if "]})".contains(character) { depth -= 1 }
            if depth == 0 { return position }
        }
        return value.endIndex
    }
}
