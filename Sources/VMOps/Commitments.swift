/// What the instances of a host take up together, as their sizes say. Memory in MB, disks in GB.
package struct Commitments: Sendable, Hashable {
    package var instances = 0
    /// Those that run.
    package var running = 0
    /// Operations on them that are in progress.
    package var operations = 0
    package var vcpus = 0
    package var memoryMB = 0
    package var diskGB = 0

    package init() {}
}
