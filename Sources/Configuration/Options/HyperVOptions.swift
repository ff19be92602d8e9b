/// `[hyperv]`: the reference driver's options (VMOps semantics, section 3.1).
package enum HyperVOptions {
    static let group = "hyperv"

    static let limitCPUFeatures = OptionKey<Bool>.boolean(
        group,
        "limit_cpu_features",
        default: false,
        traits: .perHost,
        "Restrict the guests' CPU so that machines with other CPUs can take them."
    )
    static let configDriveInjectPassword = OptionKey<Bool>.boolean(
        group,
        "config_drive_inject_password",
        default: false,
        traits: .perHost,
        "Put the administrator's password on the config drive."
    )
    static let configDriveCDROM = OptionKey<Bool>.boolean(
        group,
        "config_drive_cdrom",
        default: false,
        traits: .perHost,
        "Attach the config drive as a CD-ROM instead of converting it to a disk."
    )
    static let qemuImgCommand = OptionKey<String>.string(
        group,
        "qemu_img_cmd",
        default: "qemu-img",
        traits: .perHost,
        "Program that makes and converts disks.",
        check: ValueChecks.atLeastOneByteOfText
    )
    static let enableInstanceMetricsCollection = OptionKey<Bool>.boolean(
        group,
        "enable_instance_metrics_collection",
        default: false,
        traits: .perHost,
        "Have the hypervisor meter each machine."
    )
    static let dynamicMemoryRatio = OptionKey<Double>.number(
        group,
        "dynamic_memory_ratio",
        default: 1.0,
        in: 1...1024,
        traits: .perHost,
        "Above 1 a machine starts with its memory divided by this, and grows as needed."
    )
    static let waitSoftRebootSeconds = OptionKey<Duration>.seconds(
        group,
        "wait_soft_reboot_seconds",
        default: 60,
        traits: [.reloadable, .perHost],
        "How long a soft reboot may take before it becomes a hard one."
    )
    static let instancesPathShare = OptionKey<String>.string(
        group,
        "instances_path_share",
        default: "",
        traits: [.perHost, .noEffect],
        "Name of a Windows share."
    )
    static let vswitchName = OptionKey<String?>.optional(
        group,
        "vswitch_name",
        traits: .perHost,
        "The virtual switch to attach machines to; not set: the host's choice."
    )
    static let volumeAttachRetryCount = OptionKey<Int>.integer(
        group,
        "volume_attach_retry_count",
        default: 10,
        in: 0...10_000,
        traits: .perHost,
        "Further attempts to see a volume after it was attached."
    )
    static let volumeAttachRetryInterval = OptionKey<Duration>.seconds(
        group,
        "volume_attach_retry_interval",
        default: 5,
        traits: .perHost,
        "Pause between them."
    )
    static let mountedDiskQueryRetryCount = OptionKey<Int>.integer(
        group,
        "mounted_disk_query_retry_count",
        default: 10,
        in: 0...10_000,
        traits: .perHost,
        "Further attempts to find the number of an attached disk."
    )
    static let mountedDiskQueryRetryInterval = OptionKey<Duration>.seconds(
        group,
        "mounted_disk_query_retry_interval",
        default: 5,
        traits: .perHost,
        "Pause between them."
    )
    static let forceHyperVUtilsV1 = OptionKey<Bool>.boolean(
        group,
        "force_hyperv_utils_v1",
        default: false,
        traits: [.perHost, .noEffect],
        "An old interface of Windows."
    )
    static let forceVolumeUtilsV1 = OptionKey<Bool>.boolean(
        group,
        "force_volumeutils_v1",
        default: false,
        traits: [.perHost, .noEffect],
        "An old interface of Windows."
    )

    static let all: [OptionDefinition] = [
        limitCPUFeatures.definition, configDriveInjectPassword.definition, configDriveCDROM.definition,
        qemuImgCommand.definition, enableInstanceMetricsCollection.definition, dynamicMemoryRatio.definition,
        waitSoftRebootSeconds.definition, instancesPathShare.definition, vswitchName.definition,
        volumeAttachRetryCount.definition, volumeAttachRetryInterval.definition,
        mountedDiskQueryRetryCount.definition, mountedDiskQueryRetryInterval.definition,
        forceHyperVUtilsV1.definition, forceVolumeUtilsV1.definition,
    ]
}
