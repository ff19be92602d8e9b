import CSystemShims
import Glibc

/// Threads of our own, for calls that block.
package enum ReactorThread {
    private final class Body {
        let run: @Sendable () -> Void

        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    private static let stackBytes = 256 * 1024

    /// Runs `body` on a new detached thread with all signals blocked; `name` (at most 15 bytes) is what `top` shows.
    package static func start(
        name: String,
        _ body: @escaping @Sendable () -> Void
    ) throws(SystemCallError) {
        // pthread_create takes a C context pointer. The box is retained here and released by the new thread alone.
        let context = Unmanaged.passRetained(
            Body {
                pthread_setname_np(pthread_self(), String(name.prefix(15)))
                body()
            }
        )
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        pthread_attr_setstacksize(&attributes, stackBytes)

        // The mask is inherited: signals stay with the threads that wait for them.
        var all = sigset_t()
        var previous = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_BLOCK, &all, &previous)
        var thread = pthread_t()
        let status = pthread_create(
            &thread,
            &attributes,
            { raw in
                guard let raw else { return nil }
                Unmanaged<Body>.fromOpaque(raw).takeRetainedValue().run()
                return nil
            },
            context.toOpaque()
        )
        pthread_sigmask(SIG_SETMASK, &previous, nil)
        if status != 0 {
            context.release()
            throw SystemCallError("pthread_create", status)
        }
    }

    /// Raises the soft limit of open descriptors to the hard one. A console holds two of them.
    ///
    /// - Returns: the limit now in force.
    @discardableResult
    package static func raiseDescriptorLimit() -> UInt64 {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 0 }
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        return UInt64(limit.rlim_cur)
    }
}
