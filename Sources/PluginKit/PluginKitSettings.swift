/// A plugin to check, and what of its hypervisor the kit cannot know.
package struct PluginKitSettings: Sendable {
    /// How the worker reaches a plugin (plugin protocol, section 1).
    package enum Shape: String, Sendable, Hashable, CaseIterable {
        case child, socket, oneshot
    }

    /// The program and its arguments; for ``Shape/socket`` the path of the socket.
    package var command: [String]
    package var shape = Shape.child
    /// The plugin's own options, handed over in the handshake.
    package var options: [String: String] = [:]
    /// Variables of the plugin's environment beside the few that it always has.
    package var environment: [String: String] = [:]
    /// How long the handshake may take.
    package var startLimit = Duration.seconds(10)

    /// How long it may take to exit where it has to.
    package var exitLimit = Duration.seconds(10)

    /// An image that machines boot from; `nil` = none is needed.
    package var image: String?
    /// A file that is copied to be the machines' root disk, and its format. Not beside an image.
    package var rootDisk: String?
    package var rootDiskFormat = "raw"
    /// `ide`, `scsi` or `virtio`.
    package var diskBus = "virtio"
    package var memoryMB = 64
    package var metadata: [String: String] = [:]
    /// Metadata with which a guest prints far more than 256 KiB; `nil` = the checks that need one are skipped.
    package var floodMetadata: [String: String]?
    /// The same by typing: a line that makes a guest print so much.
    package var floodTyping: String?
    /// Something that the guest prints when it is up; `nil` = only that it prints anything.
    package var bootText: String?
    /// The bridge of the interfaces that are attached; the type is the first that the plugin names.
    package var bridge: String?

    /// A second host of the kind, for the checks of migration: what of ``options`` is another there, and the command if
    /// that is another one.
    package var secondOptions: [String: String] = [:]
    package var secondCommand: [String]?
    /// How the first knows the second; `nil` = the second one's `host` in the handshake.
    package var secondAddress: String?
    /// A machine on the hypervisor that is not vmops', and its uuid there if instances could have the same.
    package var foreignName: String?
    package var foreignUUID: String?

    /// How many machines the check of many machines makes.
    package var machineCount = 20
    /// How often the plugin is killed at a random point.
    package var killRounds = 5

    package init(command: [String]) { self.command = command }
}
