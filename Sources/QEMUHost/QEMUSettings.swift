/// What an operator decides about the machines of a QEMU host.
package struct QEMUSettings: Sendable, Hashable {
    /// How guests' instructions are carried out (QEMU backend, section 2).
    package enum Acceleration: String, Sendable, CaseIterable {
        /// Hardware if it is there and a test guest boots with it, else emulation.
        case auto
        case kvm, tcg
    }

    package var acceleration: Acceleration

    package init(acceleration: Acceleration = .auto) {
        self.acceleration = acceleration
    }
}
