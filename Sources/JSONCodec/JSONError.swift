/// Why a JSON document could not be read or written.
///
/// Neither the message nor any other part holds text of the document, so it may be logged.
package struct JSONError: Error, Hashable, CustomStringConvertible {
    /// What kind of trouble it is.
    package struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Value: String {
            case tooLarge = "too large"
            case tooDeep = "too deep"
            case syntax = "syntax"
            case truncated = "truncated"
            case invalidUTF8 = "invalid UTF-8"
            case notFinite = "not finite"
        }

        private let value: Value

        /// More bytes than ``JSONLimits/maximumBytes``.
        package static let tooLarge = Code(value: .tooLarge)
        /// More nested arrays and objects than ``JSONLimits/maximumDepth``.
        package static let tooDeep = Code(value: .tooDeep)
        /// Not JSON in Python's reading.
        package static let syntax = Code(value: .syntax)
        /// The document ends before its value does.
        package static let truncated = Code(value: .truncated)
        /// A string holds bytes that are not UTF-8.
        package static let invalidUTF8 = Code(value: .invalidUTF8)
        /// NaN or an infinity was to be written.
        package static let notFinite = Code(value: .notFinite)

        package var description: String { value.rawValue }
    }

    package let code: Code
    /// Offset in bytes of the trouble: in the document read, or in what was written so far.
    package let position: Int
    package let message: String
    /// The number jansson gave the same document, when it had refused it first.
    package let parserCode: Int?

    package init(_ code: Code, at position: Int, _ message: String, parserCode: Int? = nil) {
        self.code = code
        self.position = position
        self.message = message
        self.parserCode = parserCode
    }

    package var description: String { "\(code) at byte \(position): \(message)" }
}
