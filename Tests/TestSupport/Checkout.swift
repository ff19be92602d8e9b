package import Foundation

/// Places in the checkout that tests use, found from where this file was compiled.
package enum Checkout {
    /// The directory of `Package.swift`.
    package static let root = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// Scripts around the tests: the private broker, the proxy.
    package static let harness = root.appending(path: "Tests/Harness")

    /// Python programs that tests talk to.
    package static let peers = root.appending(path: "Tests/Peers")

    /// What the set-up made and runs leave behind; not under version control.
    package static let work = root.appending(path: ".work")

    /// A program of the package, built beside the tests, as `vmopsd`.
    package static func program(_ name: String) -> String {
        let built = ProcessInfo.processInfo.environment["VMOPS_TEST_BIN"].map { URL(filePath: $0) }
        let beside = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        return (built ?? beside).appending(path: name).path
    }

    /// The Python that runs the harness scripts, which need its standard library only.
    package static let python =
        FileManager.default.isExecutableFile(atPath: "/usr/bin/python3") ? "/usr/bin/python3" : "python3"
}
