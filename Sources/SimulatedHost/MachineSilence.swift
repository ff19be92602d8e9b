import HostBackend

/// A console's reader without a pipe, and what tells it that there is one again.
struct RestingReader: Sendable {
    /// The pipe that it had.
    let pipe: UInt64
    let wake: @Sendable (ConsoleDescriptor?) -> Void
}

/// The machine's side of one of its pipes, for a reader that has had nothing for a while.
struct MachineSilence: ConsoleSilence {
    let machine: SimulatedMachine
    let pipe: UInt64

    func begin(_ wake: @escaping @Sendable (ConsoleDescriptor?) -> Void) -> Bool {
        let isAgreed = try? machine.update { state, _ throws(BackendError) in
            guard !state.frozen, let present = state.pipe, present.number == pipe, state.guest.isConsoleUp,
                // A console that hangs up by the number of bytes counts them in its pipe.
                state.guest.behaviour.consoleMode != .disconnect, state.guest.output.isEmpty, present.waiting == 0
            else { return false }
            state.closePipe()
            state.resting = RestingReader(pipe: pipe, wake: wake)
            return true
        }
        return isAgreed ?? false
    }

    func giveUp() { machine.forgetReader(of: pipe) }
}
