import HostBackend
import PluginProtocol
import Support
import Synchronization

/// Where each machine's console was read last, so that a new stream goes on there or says that something is missing.
final class PluginConsoles: Sendable {
    private struct Place {
        var stream: PluginConsoleStream?
        /// Where the worker before this one ended in order.
        var kept: UInt64?
        /// It ran before this worker read it.
        var isAdopted = false

        /// The offset behind what was read last.
        var offset: UInt64? { stream?.offset ?? kept }
    }

    private let places = Mutex<[InstanceUUID: Place]>([:])

    /// The machine ran when this worker came: what it printed before may be missing.
    func adopt(_ uuid: InstanceUUID) {
        places.withLock { places in
            places[uuid, default: Place()].isAdopted = true
        }
    }

    func forget(_ uuid: InstanceUUID) { places.withLock { _ = $0.removeValue(forKey: uuid) } }

    /// The offset to begin at; `nil` = wherever the plugin does.
    func resume(_ uuid: InstanceUUID, isResumable: Bool) -> UInt64? {
        isResumable ? places.withLock { $0[uuid]?.offset } : nil
    }

    /// Where each console was read last.
    var offsets: [InstanceUUID: UInt64] { places.withLock { $0.compactMapValues(\.offset) } }

    /// Takes over from an earlier worker, before anything else happens.
    func keep(_ offsets: [InstanceUUID: UInt64]) {
        places.withLock { places in
            for (uuid, offset) in offsets { places[uuid] = Place(kept: offset) }
        }
    }

    /// Takes note of a new stream, and of what is missing in front of it.
    func opened(_ stream: PluginConsoleStream, of uuid: InstanceUUID, isResumable: Bool) {
        places.withLock { places in
            let place = places[uuid]
            let begin = stream.offset
            if isResumable, let last = place?.offset {
                if begin > last { stream.beginsWithLoss(Int(clamping: begin - last)) }
                if begin < last { stream.beginsWithLoss(nil) }
            } else if place?.isAdopted == true || place?.stream?.wasCutOff == true {
                stream.beginsWithLoss(nil)
            }
            places[uuid] = Place(stream: stream)
        }
    }
}
