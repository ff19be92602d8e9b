import Glibc

/// What this process has used so far.
struct ProcessUsage {
    /// CPU time of all threads, user and system, in nanoseconds.
    var cpuNanoseconds: UInt64
    /// Monotonic time in nanoseconds.
    var nanoseconds: UInt64

    static func now() -> ProcessUsage {
        ProcessUsage(cpuNanoseconds: read(CLOCK_PROCESS_CPUTIME_ID), nanoseconds: read(CLOCK_MONOTONIC))
    }

    /// What was used since `earlier`.
    func since(_ earlier: ProcessUsage) -> ProcessUsage {
        ProcessUsage(
            cpuNanoseconds: cpuNanoseconds - earlier.cpuNanoseconds,
            nanoseconds: nanoseconds - earlier.nanoseconds
        )
    }

    private static func read(_ clock: clockid_t) -> UInt64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}

/// Takes a value where the optimiser cannot see that nothing is done with it.
@_optimize(none)
func keep<Value>(_ value: Value) {}
