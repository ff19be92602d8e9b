/// What an operator decides about the machines of a QEMU host.
package struct QEMUSettings: Sendable, Hashable {
    /// How guests' instructions are carried out (QEMU backend, section 2).
    package enum Acceleration: String, Sendable, CaseIterable {
        /// Hardware if it is there and a test guest boots with it, else emulation.
        case auto
        case kvm, tcg
    }

    /// Where disks go that the operations layer puts on IDE.
    package enum DiskBus: String, Sendable, CaseIterable {
        /// virtio-blk, which guests have needed drivers for since long and which is fast.
        case virtio
        /// Where the address says, for guests without such drivers.
        case ide
    }

    /// What network interfaces are connected to.
    package enum Network: String, Sendable, CaseIterable {
        /// Machines get no interfaces.
        case none
        /// A TAP device each, in the bridge that the request names.
        case tap
        /// QEMU's own address translation, without any rights on the host.
        case user
    }

    /// `binary`: a name looked for in the search path, or an absolute path.
    package var binary = "qemu-system-x86_64"
    /// `machine_type`; empty = `pc-q35-<version>` of the QEMU that is installed. A machine keeps the one it was made
    /// with.
    package var machineType = ""
    /// `cpu_model`; empty = `host` with hardware acceleration, `qemu64` without.
    package var cpuModel = ""
    /// `acceleration`.
    package var acceleration = Acceleration.auto
    /// `disk_bus`.
    package var diskBus = DiskBus.virtio
    /// `network`.
    package var network = Network.none
    /// `user`: whom QEMU runs as when the worker is root; empty = as the worker itself.
    package var user = ""
    /// `sandbox`: whether QEMU locks itself up by seccomp.
    package var sandbox = true
    /// `command_timeout`: how long QEMU may take to answer a monitor command.
    package var commandTimeout = Duration.seconds(15)
    /// `start_timeout`: how long QEMU may take from its start to its first word.
    package var startTimeout = Duration.seconds(30)
    /// `adopt_timeout`: the same for a QEMU found running when the worker starts.
    package var adoptTimeout = Duration.seconds(3)
    /// `quit_timeout`: how long QEMU may take to end when told to; then it is killed.
    package var quitTimeout = Duration.seconds(5)
    /// `unplug_timeout`: how long a running guest may take to let go of a device that is detached.
    package var unplugTimeout = Duration.seconds(20)
    /// `console_pipe_bytes`: console output kept while nobody reads; then the guest's output waits (QEMU backend,
    /// section 5.4).
    package var consolePipeBytes = 256 << 10
    /// Bytes a second that a snapshot may copy from a running machine's disk; `nil` = as many as there are. No option.
    package var exportBandwidth: Int64?
    /// `sync_state`: whether the machines' records survive a power cut too.
    package var syncState = true
    /// The group `migration`.
    package var migration = MigrationLimits()
    /// `images_path` of the whole service; `nil` = `images` below the state directory.
    package var imagesPath: String?
    /// `qemu_img_cmd` of the group `hyperv`.
    package var qemuImgCommand = "qemu-img"
    /// Where programs are looked for; `nil` = the environment's PATH.
    package var toolSearchPath: String?

    package init() {}
}
