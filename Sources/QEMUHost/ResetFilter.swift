/// Tells the reboots of guests from what else QEMU calls a reset.
///
/// Firmware that finds itself started by a reset resets the machine again, once or twice, and QEMU reports those like
/// the guest's own (QEMU backend, section 4.2: three events for one reset). So what comes within ``window`` after a
/// reset belongs to it; a guest that reboots in a loop shows once per window.
struct ResetFilter: Sendable, Hashable {
    /// In microseconds of QEMU's clock.
    static let window: Int64 = 2_000_000

    private var last: Int64?

    /// Takes note of a reset.
    ///
    /// - Parameters:
    ///   - microseconds: when it happened, by QEMU's clock, which may be set back.
    ///   - isGuests: whether QEMU takes it for the guest's.
    /// - Returns: whether it is a reboot that nobody asked for.
    mutating func isReboot(at microseconds: Int64, isGuests: Bool) -> Bool {
        if isGuests, let last, (0..<Self.window).contains(microseconds - last) { return false }
        last = microseconds
        return isGuests
    }
}
