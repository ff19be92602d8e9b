/// Why an operation failed, under the exception class names that Nova's clients rebuild (VM operations, section 4.1).
package struct OperationError: Error, Sendable, CustomStringConvertible {
    /// An exception class that peers know.
    package struct Code: Sendable, Hashable {
        /// The class name, without its module.
        package let className: String
        /// HTTP-like code that Nova gives the class.
        package let status: Int
        /// Python module of the class.
        package let module: String

        init(_ className: String, _ status: Int, module: String = "nova.exception") {
            self.className = className
            self.status = status
            self.module = module
        }
    }

    package let code: Code
    /// The sentence a client shows.
    package let message: String
    /// The keywords that Nova's exception class takes, such as `instance_id`.
    package let details: [String: String]
    package let cause: (any Error)?

    package init(_ code: Code, _ message: String, details: [String: String] = [:], cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.details = details
        self.cause = cause
    }

    package var description: String { "\(code.className): \(message)" }

    /// An answer that tells the client something it may well have expected; no cause for alarm in a log.
    package var isExpected: Bool { code.status < 500 || code == .notImplemented }
}

extension OperationError.Code {
    package static let instanceNotFound = Self("InstanceNotFound", 404)
    package static let instanceExists = Self("InstanceExists", 500)
    package static let instanceInvalidState = Self("InstanceInvalidState", 400)
    package static let instanceNotReady = Self("InstanceNotReady", 400)
    package static let instancePowerOffFailure = Self("InstancePowerOffFailure", 400)
    package static let instancePowerOnFailure = Self("InstancePowerOnFailure", 400)
    package static let instanceRebootFailure = Self("InstanceRebootFailure", 400)
    package static let instanceSuspendFailure = Self("InstanceSuspendFailure", 400)
    package static let instanceResumeFailure = Self("InstanceResumeFailure", 400)
    package static let instanceTerminationFailure = Self("InstanceTerminationFailure", 400)
    package static let instanceDeployFailure = Self("InstanceDeployFailure", 400)
    package static let instanceUnacceptable = Self("InstanceUnacceptable", 400)
    package static let instanceNotRescuable = Self("InstanceNotRescuable", 400)
    package static let flavorDiskSmallerThanImage = Self("FlavorDiskSmallerThanImage", 400)
    package static let imageNotFound = Self("ImageNotFound", 404)
    package static let imageNotAuthorized = Self("ImageNotAuthorized", 500)
    package static let couldNotFetchImage = Self("CouldNotFetchImage", 500)
    package static let imageUnacceptable = Self("ImageUnacceptable", 400)
    package static let configDriveUnsupportedFormat = Self("ConfigDriveUnsupportedFormat", 400)
    package static let invalidDiskFormat = Self("InvalidDiskFormat", 400)
    package static let consoleNotAvailable = Self("ConsoleNotAvailable", 404)
    package static let consoleLogOutputException = Self("ConsoleLogOutputException", 500)
    package static let migrationPreCheckError = Self("MigrationPreCheckError", 500)
    package static let migrationError = Self("MigrationError", 500)
    package static let unableToMigrateToSelf = Self("UnableToMigrateToSelf", 400)
    package static let cannotResizeDisk = Self("CannotResizeDisk", 400)
    package static let computeServiceInUse = Self("ComputeServiceInUse", 500)
    package static let volumeAttachFailed = Self("VolumeAttachFailed", 400)
    package static let volumeDriverNotFound = Self("VolumeDriverNotFound", 404)
    package static let interfaceAttachFailed = Self("InterfaceAttachFailed", 400)
    package static let interfaceDetachFailed = Self("InterfaceDetachFailed", 400)
    package static let virtualInterfacePlug = Self("VirtualInterfacePlugException", 500)
    package static let virtualInterfaceCreate = Self("VirtualInterfaceCreateException", 500)
    package static let invalidInput = Self("InvalidInput", 400)
    package static let hypervisorUnavailable = Self("HypervisorUnavailable", 500)
    package static let forbidden = Self("Forbidden", 403)
    package static let novaException = Self("NovaException", 500)
    package static let notImplemented = Self("NotImplementedError", 500, module: "builtins")
}

extension OperationError.Code {
    /// Those that another host may answer to a part of a migration.
    private static let known: [String: Self] = Dictionary(
        [
            instanceNotFound, instanceExists, instanceInvalidState, migrationPreCheckError, migrationError,
            unableToMigrateToSelf, volumeAttachFailed, volumeDriverNotFound, virtualInterfacePlug, invalidInput,
            hypervisorUnavailable, forbidden, novaException, notImplemented, consoleLogOutputException,
            cannotResizeDisk,
            computeServiceInUse,
        ].map { ($0.className, $0) },
        uniquingKeysWith: { $1 }
    )

    /// The class that another host named, `nil` if it is none of those.
    package init?(className: String) {
        guard let known = Self.known[className] else { return nil }
        self = known
    }
}

extension OperationError {
    package static func notFound(_ identifier: String) -> OperationError {
        OperationError(
            .instanceNotFound,
            "Instance \(identifier) could not be found.",
            details: ["instance_id": identifier]
        )
    }

    package static func exists(_ name: String) -> OperationError {
        OperationError(.instanceExists, "Instance \(name) already exists.", details: ["name": name])
    }

    package static func invalidState(_ identifier: String, state: String, method: String) -> OperationError {
        OperationError(
            .instanceInvalidState,
            "Instance \(identifier) in power_state \(state). Cannot \(method) while the instance is in this state.",
            details: ["instance_uuid": identifier, "attr": "power_state", "state": state, "method": method]
        )
    }

    package static func notImplemented(_ what: String) -> OperationError {
        OperationError(.notImplemented, what)
    }
}
