/// What one INI file says, in its order.
package struct INIDocument: Sendable, Equatable {
    /// One `key = value` with its continuation lines joined by newlines.
    package struct Entry: Sendable, Equatable {
        package var section: String
        package var key: String
        package var value: String
        /// Line of the key, counted from 1.
        package var line: Int
    }

    /// A line that could not be understood.
    package struct Mistake: Sendable, Equatable {
        package var line: Int
        package var message: String
    }

    package var entries: [Entry] = []
    package var mistakes: [Mistake] = []
}
