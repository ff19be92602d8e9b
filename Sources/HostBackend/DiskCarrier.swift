package import Support

/// A disk file that goes to another host.
package struct CarriedDisk: Sendable, Hashable {
    /// Its place in the machine's definition, the same on both sides.
    package var number: Int
    package var path: String

    package init(number: Int, path: String) {
        self.number = number
        self.path = path
    }
}

/// Carries files of machines that are off between hosts that share no storage.
///
/// What has arrived of a file stays when the connection ends or a worker dies: another ``send(_:to:progress:)`` of the
/// same transfer goes on from there. A file gets its name only when it is there whole, as its checksum says.
package protocol DiskCarrier: Sendable {
    /// At the destination: what the source has to know before anything begins.
    var offer: JSONObject { get }

    /// At the source: what the destination has to know of it. Throws `invalidArgument` when disks cannot go there.
    func agree(to offer: JSONObject) throws -> JSONObject

    /// At the destination: lets the disks of `transfer` come, each to its path, which must not exist unless it came by
    /// this transfer. A repetition makes the earlier way invalid.
    ///
    /// - Parameter source: what the source has said when it agreed.
    /// - Returns: the way here, for the source; valid for one connection.
    func expect(
        _ uuid: InstanceUUID,
        transfer: String,
        disks: [CarriedDisk],
        from source: JSONObject
    ) async throws -> JSONObject

    /// At the destination: nothing comes by that transfer any more; what has begun is stopped. Files stay.
    func forget(_ transfer: String)

    /// At the source: sends the disks. Throws `unavailable` or `timeout` when a repetition may get further.
    ///
    /// - Parameter progress: called now and then with the bytes done and to do; bytes that are zero count too.
    func send(
        _ disks: [CarriedDisk],
        to way: JSONObject,
        progress: @escaping @Sendable (_ done: UInt64, _ total: UInt64) async -> Void
    ) async throws
}
