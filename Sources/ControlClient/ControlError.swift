import OsloMessaging
import RPCClient

/// Why a command came to nothing, beyond what remote methods raise.
package struct ControlError: Error, Sendable, CustomStringConvertible {
    package struct Code: Sendable, Hashable {
        private enum Value { case usage, notFound, ambiguous, noAnswer, unexpectedAnswer }
        private let value: Value

        /// The command line does not make sense.
        package static let usage = Code(value: .usage)
        /// No host knows the instance.
        package static let notFound = Code(value: .notFound)
        /// More than one host or instance fits.
        package static let ambiguous = Code(value: .ambiguous)
        /// Nobody answered in time.
        package static let noAnswer = Code(value: .noAnswer)
        /// An answer is not what the method is known to answer.
        package static let unexpectedAnswer = Code(value: .unexpectedAnswer)
    }

    package let code: Code
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}

/// How the program ends: a status for scripts and one line for people.
package struct ExitReport: Sendable, Hashable {
    package static let failed: Int32 = 1
    package static let usage: Int32 = 2
    package static let noAnswer: Int32 = 3
    package static let interrupted: Int32 = 130

    package let status: Int32
    /// Begins with the class of the exception where there is one; `nil` = nothing to say.
    package let message: String?

    package init(_ error: any Error) {
        switch error {
        case let failure as RemoteFailure:
            self.init(Self.failed, "\(failure.className): \(failure.message)")
        case let error as RPCClientError:
            self.init(error)
        case let error as ControlError:
            self.init(error)
        case is CancellationError:
            self.init(Self.interrupted, nil)
        default:
            self.init(Self.failed, "\(error)")
        }
    }

    private init(_ error: RPCClientError) {
        switch error.code {
        case .timeout, .silence: self.init(Self.noAnswer, "MessagingTimeout: \(error)")
        case .unreachable: self.init(Self.noAnswer, "\(error)")
        case .undeliverable: self.init(Self.failed, "MessageUndeliverable: \(error)")
        case .deliveryFailed: self.init(Self.failed, "MessageDeliveryFailure: \(error)")
        case .unencodable, .invalidTarget: self.init(Self.usage, "\(error)")
        default: self.init(Self.failed, "\(error)")
        }
    }

    private init(_ error: ControlError) {
        switch error.code {
        case .usage: self.init(Self.usage, error.message)
        case .notFound: self.init(Self.failed, "InstanceNotFound: \(error.message)")
        case .noAnswer: self.init(Self.noAnswer, error.message)
        default: self.init(Self.failed, error.message)
        }
    }

    private init(_ status: Int32, _ message: String?) {
        self.status = status
        self.message = message
    }
}
