/// A failure of a host's journal.
package struct JournalError: Error, CustomStringConvertible {
    package struct Code: Sendable, Hashable {
        private enum Kind: Hashable { case open, damaged, newer, locked, full, storage, busy, closed }
        private let kind: Kind

        /// The file cannot be created or opened.
        package static let open = Code(kind: .open)
        /// The file is not a journal, or its content is damaged.
        package static let damaged = Code(kind: .damaged)
        /// A newer release wrote the file.
        package static let newer = Code(kind: .newer)
        /// Another process has the file open.
        package static let locked = Code(kind: .locked)
        /// The disk or the journal's own size limit is used up.
        package static let full = Code(kind: .full)
        /// Any other failure to read or write.
        package static let storage = Code(kind: .storage)
        /// Too many operations wait for a commit.
        package static let busy = Code(kind: .busy)
        /// The journal was closed.
        package static let closed = Code(kind: .closed)
    }

    package let code: Code
    package let message: String
    package let cause: (any Error)?

    package init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    package var description: String {
        if let cause { "\(message): \(cause)" } else { message }
    }

    /// Whether the same operation may succeed later, without a person's help at the file itself.
    package var isTransient: Bool { code == .full || code == .storage || code == .busy }
}
