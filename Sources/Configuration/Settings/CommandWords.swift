extension Array where Element == String {
    /// The words of a command: separated by blanks, kept together by quotes of either kind; `nil` when a quote has no
    /// other.
    package init?(command text: String) {
        self.init()
        var word: String?
        var quote: Character?
        for character in text {
            if let open = quote {
                if character == open { quote = nil } else { word = (word ?? "") + String(character) }
            } else if character == "\"" || character == "'" {
                quote = character
                word = word ?? ""
            } else if character == " " || character == "\t" {
                if let word { append(word) }
                word = nil
            } else {
                word = (word ?? "") + String(character)
            }
        }
        guard quote == nil else { return nil }
        if let word { append(word) }
    }
}
