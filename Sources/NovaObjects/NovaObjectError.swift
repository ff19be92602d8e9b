/// Why a value is not the object it should be.
package struct NovaObjectError: Error, Sendable, CustomStringConvertible {
    package struct Code: Sendable, Hashable {
        private let name: String

        /// The value has not the form of an object.
        package static let malformed = Code(name: "malformed")
        /// It is an object of another class.
        package static let unexpectedClass = Code(name: "unexpectedClass")
        /// Its major version is another one than ours.
        package static let incompatibleVersion = Code(name: "incompatibleVersion")
        /// An attribute that is needed is not set or has another type.
        package static let attribute = Code(name: "attribute")
    }

    package let code: Code
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}
