/// The instance that the present task works for, as its request describes it.
///
/// Set around an operation with `RequestContext.$current.withValue(…) { … }`. Primitives that get no instance, such as
/// ``HostBackend/createDisk(_:)``, can learn from it whose disk they make; backends are free to ignore it.
package struct RequestContext: Sendable, Hashable {
    @TaskLocal package static var current: RequestContext?

    package var uuid: InstanceUUID
    /// The metadata that came with the request; the simulated host takes faults and delays from it.
    package var metadata: [String: String]

    package init(uuid: InstanceUUID, metadata: [String: String]) {
        self.uuid = uuid
        self.metadata = metadata
    }
}
