import CSystemShims
import Glibc
import Support

/// What the process gets from and sets with the operating system.
enum ProcessEnvironment {
    /// A thousand hosts with a console each need more descriptors than the usual soft limit.
    static func raiseDescriptorLimit() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    /// Lets no core file be written and no process of the same user read our memory, which has all secrets in it.
    ///
    /// The limit alone would not do: the kernel does not heed it when cores are piped to a collector.
    static func forbidCoreDumps() {
        var limit = rlimit(rlim_cur: 0, rlim_max: 0)
        _ = setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &limit)
        _ = vmops_set_dumpable(0)
    }

    /// `<program>:<pid>:<uuid>`, as oslo.messaging names its connections.
    static func connectionName() -> String { "vmopsd:\(getpid()):\(UniqueID.makeDashed())" }
}
