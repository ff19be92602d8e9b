import Foundation

/// The emulator that tests with real machines need.
package enum QEMUProgram {
    package static let path = "/usr/bin/qemu-system-x86_64"

    package static let isInstalled = FileManager.default.isExecutableFile(atPath: path)

    /// Why a test that needs it is skipped.
    package static let missing = "qemu-system-x86_64 is not installed"
}
