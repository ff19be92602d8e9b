import DiskImages
import HostBackend
import JSONCodec
import Logging
import Support

/// The machines' files, one small JSON document each, `<directory>/<uuid>.json`.
///
/// Each is replaced as a whole, so a process killed at any moment leaves the old or the new one. A file that cannot be
/// read is moved aside to `<uuid>.json.bad` and reported; the other machines are not concerned.
struct MachineStore: Sendable {
    private static let suffix = ".json"
    private static let largestFile = 8 << 20

    let directory: String
    let work: FileWork
    let sync: Bool
    let logger: Logger

    func load() async throws -> [(uuid: InstanceUUID, record: JSONObject)] {
        try await work.run { _ in
            try FileCalls.makeDirectories(directory)
            var machines: [(uuid: InstanceUUID, record: JSONObject)] = []
            for name in try FileCalls.names(in: directory) where name.hasSuffix(Self.suffix) {
                guard let uuid = InstanceUUID(name.dropLast(Self.suffix.count)) else { continue }
                do {
                    machines.append((uuid, try read(uuid)))
                } catch {
                    setAside(uuid, error)
                }
            }
            return machines
        }
    }

    /// Keeps a file that makes no sense for whoever wants to look at it.
    func setAside(_ uuid: InstanceUUID, _ error: any Error) {
        report(error, uuid)
        try? FileCalls.rename(path(uuid), to: path(uuid) + ".bad")
    }

    func write(_ uuid: InstanceUUID, _ record: JSONObject) throws(BackendError) {
        let bytes: [UInt8]
        do {
            bytes = try JSONWriter.bytes(of: .object(record), .compact)
        } catch {
            throw BackendError(.internal, "the record of machine \(uuid) cannot be written", cause: error)
        }
        try FileCalls.replace(path(uuid), bytes, sync: sync)
    }

    func remove(_ uuid: InstanceUUID) throws(BackendError) {
        try FileCalls.remove(path(uuid))
        if sync { try FileCalls.syncDirectory(of: path(uuid)) }
    }

    func report(_ error: any Error, _ uuid: InstanceUUID) {
        logger.error(
            "a simulated machine's state file cannot be used",
            metadata: ["instance": "\(uuid)", "path": "\(path(uuid))", "error": "\(error)"]
        )
    }

    private func path(_ uuid: InstanceUUID) -> String { directory + "/" + uuid.text + Self.suffix }

    private func read(_ uuid: InstanceUUID) throws -> JSONObject {
        let bytes = try FileCalls.read(path(uuid), offset: 0, count: Self.largestFile)
        guard let record = try JSONReader.read(bytes).objectValue else {
            throw BackendError(.internal, "no JSON object")
        }
        return record
    }
}
