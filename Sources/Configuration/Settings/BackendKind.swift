/// Which host backend drives a host's machines.
package enum BackendKind: String, Sendable, Hashable, CaseIterable {
    case simulated, qemu, plugin
}
