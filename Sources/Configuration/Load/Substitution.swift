/// oslo.config's references inside values: `$option`, `${option}`, `$group.option`; `$$` and `\$` stand for `$`.
enum Substitution {
    /// A `$` that no name follows stays as it is, as with Python's safe substitution.
    static func expand(
        _ text: String,
        value: (String) throws(ValueError) -> String
    ) throws(ValueError) -> String {
        guard text.utf8.contains(UInt8(ascii: "$")) else { return text }
        var result = ""
        var rest = text[...]
        while let character = rest.first {
            rest = rest.dropFirst()
            if character == "\\", rest.first == "$" {
                result.append("$")
                rest = rest.dropFirst()
            } else if character != "$" {
                result.append(character)
            } else if rest.first == "$" {
                result.append("$")
                rest = rest.dropFirst()
            } else if let (name, after) = reference(rest) {
                result += try value(name)
                rest = after
            } else {
                result.append("$")
            }
        }
        return result
    }

    /// The text that ``expand(_:value:)`` turns into the given one.
    static func escape(_ text: String) -> String { text.replacing("$", with: "$$") }

    private static func reference(_ rest: Substring) -> (String, Substring)? {
        let isBraced = rest.first == "{"
        let body = isBraced ? rest.dropFirst() : rest
        guard let first = body.first, isName(first), !first.isNumber, first != "." else { return nil }
        var name = body.prefix(while: isName)
        // A full stop at the end closes a sentence or a path component, it does not begin an option.
        if !isBraced { while name.last == "." { name = name.dropLast() } }
        let after = rest[name.endIndex...]
        guard isBraced else { return (String(name), after) }
        return after.first == "}" ? (String(name), after.dropFirst()) : nil
    }

    private static func isName(_ character: Character) -> Bool {
        character.isASCII && (character.isLetter || character.isNumber || character == "_" || character == ".")
    }
}
