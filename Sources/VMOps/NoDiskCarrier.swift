package import HostBackend
package import Support

/// For hosts whose disks stay, or are shared with all others.
package struct NoDiskCarrier: DiskCarrier {
    package init() {}

    package var offer: JSONObject { [:] }

    package func agree(to offer: JSONObject) throws -> JSONObject { [:] }

    package func expect(
        _ uuid: InstanceUUID,
        transfer: String,
        disks: [CarriedDisk],
        from source: JSONObject
    ) async throws -> JSONObject {
        throw BackendError.unsupported("receiving disks")
    }

    package func forget(_ transfer: String) {}

    package func send(
        _ disks: [CarriedDisk],
        to way: JSONObject,
        progress: @escaping @Sendable (_ done: UInt64, _ total: UInt64) async -> Void
    ) async throws {
        throw BackendError.unsupported("sending disks")
    }
}
