import Glibc
import HostBackend
import JSONCodec
import PluginProtocol
import Support

/// What the worker remembers of a host's plugin for the time when it does not run: which hypervisor host it was, and
/// what it could do. Kept where the plugin cannot write. Blocks.
struct KeptFacts: Sendable, Hashable {
    var hostID: String
    var capabilities: HostCapabilities

    init(hostID: String, capabilities: HostCapabilities) {
        self.hostID = hostID
        self.capabilities = capabilities
    }

    /// `nil` when there are none, or none that can be read.
    init?(_ path: String) {
        guard let file = try? ReactorFile.reading(path), let size = try? file.facts().size,
            let bytes = try? file.read(at: 0, count: min(size, 1 << 20)),
            let json = try? JSONReader.read(bytes), let hostID = json["host_id"]?.stringValue,
            let capabilities = json["capabilities"]?.objectValue
        else { return nil }
        self.init(hostID: hostID, capabilities: HostCapabilities(json: capabilities))
    }

    /// Replaces the file in one step.
    func write(_ path: String) throws {
        let json: JSONObject = ["host_id": .string(hostID), "capabilities": .object(capabilities.json)]
        let temporary = path + ".new"
        unlink(temporary)
        try ReactorFile.writing(temporary).write(try JSONWriter.bytes(of: .object(json)))
        guard rename(temporary, path) == 0 else { throw SystemCallError("rename", errno, path: path) }
    }
}
