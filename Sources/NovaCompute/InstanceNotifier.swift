package import ComputeRPC
import Logging
import NovaObjects
import OsloMessaging
import Support

/// Sends Nova's versioned notifications about the instances of a host, `nova-compute:HOST` being who says it
/// (oslo.messaging wire, section 12).
///
/// `instance.update` is not among them: Nova's conductor sends it, under its own `notify_on_state_change`, when a host
/// saves something through it.
package struct InstanceNotifier: Sendable {
    package typealias Publish = ComputeNotifier.Publish

    /// What is told of a request.
    struct Subject: Sendable, Hashable {
        enum Form: Sendable, Hashable {
            case action, creation, snapshot, volume, rebuild, resizePreparation
        }

        /// Nova's word for what is done.
        let action: String
        var form = Form.action
        /// Whether a failure is told as one of the action; if not, it is told as `compute.exception`.
        var tellsFailure = false
        /// Whether it is told by whoever carries the request out, and only a failure by whoever calls him.
        var tellsItself = false
    }

    enum Phase: String, Sendable {
        case start, end, error
    }

    /// By method. What a host refuses is not begun, and not told.
    static let subjects: [String: Subject] = [
        "build_and_run_instance": Subject(action: "create", form: .creation, tellsFailure: true, tellsItself: true),
        "terminate_instance": Subject(action: "delete"),
        "start_instance": Subject(action: "power_on"),
        "stop_instance": Subject(action: "power_off"),
        "reboot_instance": Subject(action: "reboot", tellsFailure: true),
        "pause_instance": Subject(action: "pause"),
        "unpause_instance": Subject(action: "unpause"),
        "suspend_instance": Subject(action: "suspend"),
        "resume_instance": Subject(action: "resume"),
        "snapshot_instance": Subject(action: "snapshot", form: .snapshot),
        "post_live_migration_at_destination": Subject(action: "live_migration_post_dest"),
        "live_migration_abort": Subject(action: "live_migration_abort"),
        "rebuild_instance": Subject(action: "rebuild", form: .rebuild, tellsFailure: true),
        "prep_resize": Subject(action: "resize_prep", form: .resizePreparation),
        "resize_instance": Subject(action: "resize", tellsFailure: true),
        "finish_resize": Subject(action: "resize_finish"),
        "confirm_resize": Subject(action: "resize_confirm"),
        "finish_revert_resize": Subject(action: "resize_revert"),
        "attach_interface": Subject(action: "interface_attach", tellsFailure: true),
        "detach_interface": Subject(action: "interface_detach"),
        "attach_volume": Subject(action: "volume_attach", form: .volume, tellsFailure: true),
        "detach_volume": Subject(action: "volume_detach", form: .volume),
    ]

    private let publish: Publish

    package init(publish: @escaping Publish) { self.publish = publish }

    func send(_ subject: Subject, _ phase: Phase, _ payload: NovaObject, context: JSONObject) {
        publish(
            phase == .error ? .error : .info,
            "instance.\(subject.action).\(phase.rawValue)",
            payload.primitive,
            context
        )
    }

    /// Tells of a request that failed.
    func sendException(_ exception: NovaObject, context: JSONObject) {
        publish(.error, "compute.exception", exception.primitive, context)
    }
}
