import DaemonBench
import Foundation
import TestSupport

/// A disk that fails on demand: `Tests/Faults/disk_faults.c`, preloaded into a daemon.
struct DiskFaults: Sendable {
    private let library: String
    private let control: String

    /// Whether there is a C compiler.
    static let compiler = ["/usr/bin/cc", "/usr/bin/gcc", "/usr/bin/clang"].first {
        FileManager.default.isExecutableFile(atPath: $0)
    }

    init(in directory: String) async throws {
        library = directory + "/disk_faults.so"
        control = directory + "/disk_faults"
        let source = Checkout.root.appending(path: "Tests/Faults/disk_faults.c").path
        let arguments = ["-O1", "-fPIC", "-shared", "-o", library, source, "-ldl"]
        _ = try await runCommand(Self.compiler ?? "cc", arguments)
        try clear()
    }

    /// What is preloaded into the tests as well, stays.
    var environment: [String: String] {
        let others = ProcessInfo.processInfo.environment["LD_PRELOAD"] ?? ""
        return ["LD_PRELOAD": "\(library):\(others)", "VMOPS_DISK_FAULTS": control]
    }

    /// Calls that write below a path fail, or only take longer.
    func set(_ code: Int32, milliseconds: Int = 0, below path: String) throws {
        try write("\(code) \(milliseconds) \(path)\n")
    }

    func clear() throws { try write("") }

    /// In place, for it is mapped.
    private func write(_ text: String) throws {
        var bytes = Data(text.utf8)
        bytes.append(Data(count: 4096 - bytes.count))
        if !FileManager.default.fileExists(atPath: control) {
            guard FileManager.default.createFile(atPath: control, contents: bytes) else {
                throw Unexpected("\(control) cannot be made")
            }
            return
        }
        let file = try FileHandle(forWritingTo: URL(filePath: control))
        try file.write(contentsOf: bytes)
        try file.close()
    }
}
