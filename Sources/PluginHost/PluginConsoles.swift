import HostBackend
import PluginProtocol
import Support
import Synchronization

/// Where each machine's console was read last, so that a new stream goes on there or says that something is missing.
final class PluginConsoles: Sendable {
    private struct Place {
        var stream: PluginConsoleStream?
        /// It ran before this worker read it.
        var isAdopted = false
    }

    private let places = Mutex<[InstanceUUID: Place]>([:])

    /// The machine ran when this worker came: what it printed before may be missing.
    func adopt(_ uuid: InstanceUUID) {
        places.withLock { places in
            if places[uuid] == nil { places[uuid] = Place(isAdopted: true) }
        }
    }

    func forget(_ uuid: InstanceUUID) { places.withLock { _ = $0.removeValue(forKey: uuid) } }

    /// The offset to begin at; `nil` = wherever the plugin does.
    func resume(_ uuid: InstanceUUID, isResumable: Bool) -> UInt64? {
        guard isResumable else { return nil }
        return places.withLock { $0[uuid]?.stream }.flatMap { $0.wasCutOff ? $0.offset : nil }
    }

    /// Takes note of a new stream, and of what is missing in front of it.
    func opened(_ stream: PluginConsoleStream, of uuid: InstanceUUID, isResumable: Bool) {
        places.withLock { places in
            let place = places[uuid]
            let begin = stream.offset
            if let last = place?.stream, last.wasCutOff {
                if isResumable, begin >= last.offset {
                    if begin > last.offset { stream.beginsWithLoss(Int(clamping: begin - last.offset)) }
                } else {
                    stream.beginsWithLoss(nil)
                }
            } else if place?.isAdopted == true, !isResumable {
                stream.beginsWithLoss(nil)
            }
            places[uuid] = Place(stream: stream)
        }
    }
}
