import DiskImages
import HostBackend
import JSONCodec
import Support

/// The files of one machine, in a directory of its own below the host's state directory (QEMU backend, section 3.1).
///
/// The directory is ours and others may only pass through it: QEMU, which may run as somebody else, finds its FIFOs
/// there and can neither replace them nor leave anything behind.
struct MachineFiles: Sendable, Hashable {
    private static let largestRecord = 8 << 20

    let directory: String

    /// What the machine is: exists as long as the machine does.
    var record: String { directory + "/machine.json" }
    var monitor: String { directory + "/qmp.sock" }
    /// Path stem that QEMU's pipe device adds `.in` and `.out` to.
    var console: String { directory + "/con" }
    var consoleInput: String { console + ".in" }
    var consoleOutput: String { console + ".out" }
    /// The host's certificate while QEMU reads it.
    var certificates: String { directory + "/tls" }
    var log: String { directory + "/qemu.log" }
    /// The memory of a suspended machine.
    var memory: String { directory + "/save.bin" }
    /// The same while it is being written.
    var partialMemory: String { directory + "/save.partial" }

    init(stateDirectory: String, uuid: InstanceUUID) { directory = stateDirectory + "/" + uuid.text }

    /// Throws `invalidArgument` when sockets below this state directory would have names too long for the kernel.
    static func check(stateDirectory: String) throws(BackendError) {
        // A uuid and its slash, and the socket's name and slash.
        let length = stateDirectory.utf8.count + 37 + "/qmp.sock".utf8.count
        guard length > UnixSocket.maximumPath else { return }
        throw BackendError(
            .invalidArgument,
            "\(stateDirectory) is \(length - UnixSocket.maximumPath) bytes too long: sockets would not fit below it"
        )
    }

    // MARK: Blocking calls

    func writeRecord(_ record: JSONObject, sync: Bool) throws(BackendError) {
        let bytes: [UInt8]
        do {
            bytes = try JSONWriter.bytes(of: .object(record), .compact)
        } catch {
            throw BackendError(.internal, "the record \(self.record) cannot be written", cause: error)
        }
        try FileCalls.replace(self.record, bytes, sync: sync)
    }

    /// `nil` when there is none: the machine was never made completely, or is being removed.
    func readRecord() throws -> JSONObject? {
        guard try FileCalls.status(record) != nil else { return nil }
        let bytes = try FileCalls.read(record, offset: 0, count: Self.largestRecord)
        guard let object = try JSONReader.read(bytes).objectValue else {
            throw BackendError(.internal, "\(record) holds no JSON object")
        }
        return object
    }

    /// Removes everything, the record first: without it there is no machine.
    func removeAll(sync: Bool) throws(BackendError) {
        try FileCalls.remove(record)
        if sync, try FileCalls.status(directory) != nil { try FileCalls.syncDirectory(of: record) }
        try FileCalls.removeTree(directory)
    }

    /// The last words of QEMU, for an error's message.
    func lastWords() -> String {
        guard let size = (try? FileCalls.status(log))?.size else { return "" }
        let count: UInt64 = 2048
        guard let bytes = try? FileCalls.read(log, offset: size - min(size, count), count: Int(count)) else {
            return ""
        }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n").suffix(3)
        return String(lines.joined(separator: "; ").prefix(600))
    }
}
