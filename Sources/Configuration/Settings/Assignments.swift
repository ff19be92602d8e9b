extension Dictionary where Key == String, Value == String {
    /// What texts of the form `NAME=VALUE` say; one without `=` says nothing, and of two with one name the last counts.
    package init(assignments texts: [String]) {
        self.init()
        for text in texts {
            guard let equals = text.firstIndex(of: "=") else { continue }
            self[String(text[..<equals])] = String(text[text.index(after: equals)...])
        }
    }
}
