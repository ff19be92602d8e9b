import Glibc
import HostBackend
import JSONCodec
import Support

/// Where each console was read last when the worker ended in order. Taken by the next worker, once: after one that was
/// killed there are none, for it may have read on. Blocks.
enum KeptOffsets {
    /// Reads them and takes them away; none when they cannot be read.
    static func take(_ path: String) -> [InstanceUUID: UInt64] {
        guard let file = try? ReactorFile.reading(path), let size = try? file.facts().size,
            let bytes = try? file.read(at: 0, count: min(size, 16 << 20)), unlink(path) == 0,
            let json = try? JSONReader.read(bytes).objectValue
        else { return [:] }
        var offsets: [InstanceUUID: UInt64] = [:]
        for (name, value) in json {
            if let uuid = InstanceUUID(name), let offset = value.intValue { offsets[uuid] = UInt64(clamping: offset) }
        }
        return offsets
    }

    static func write(_ offsets: [InstanceUUID: UInt64], _ path: String) throws {
        guard !offsets.isEmpty else { return }
        let json = JSONObject(offsets.map { ($0.key.text, JSONValue.int(Int64(clamping: $0.value))) })
        let temporary = path + ".new"
        unlink(temporary)
        try ReactorFile.writing(temporary).write(try JSONWriter.bytes(of: .object(json)))
        guard rename(temporary, path) == 0 else { throw SystemCallError("rename", errno, path: path) }
    }
}
