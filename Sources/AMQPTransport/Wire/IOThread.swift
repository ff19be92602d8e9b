import CSystemShims
import Glibc
import Synchronization

/// A thread of our own for work that must not be on the cooperative pool.
final class IOThread: Sendable {
    private let handle: Mutex<pthread_t?>

    /// Starts `body` on a new thread with all signals blocked: the library's TLS writes could raise SIGPIPE, and the
    /// process's signals are for others to handle.
    init(name: String, _ body: @escaping @Sendable () -> Void) throws(TransportError) {
        // The box is retained here and released by the thread that runs it.
        let box = Unmanaged.passRetained(Body(name: name, run: body))
        var thread = pthread_t()
        let code = pthread_create(
            &thread,
            nil,
            { context in
                guard let context else { return nil }
                let body = Unmanaged<Body>.fromOpaque(context).takeRetainedValue()
                var signals = sigset_t()
                sigfillset(&signals)
                for fault in [SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT] { sigdelset(&signals, fault) }
                pthread_sigmask(SIG_SETMASK, &signals, nil)
                _ = pthread_setname_np(pthread_self(), body.name)
                body.run()
                return nil
            },
            box.toOpaque()
        )
        guard code == 0 else {
            box.release()
            throw TransportError(.system, "cannot start a thread: \(SystemCall.text(code))")
        }
        handle = Mutex(thread)
    }

    /// Waits for the thread's end. Call it once the body is known to have ended or to end soon.
    func join() {
        let thread = handle.withLock { handle in
            defer { handle = nil }
            return handle
        }
        if let thread { pthread_join(thread, nil) }
    }

    /// A number that tells the calling thread from all others alive.
    static var currentID: UInt { UInt(pthread_self()) }

    private final class Body: Sendable {
        let name: String
        let run: @Sendable () -> Void

        init(name: String, run: @escaping @Sendable () -> Void) {
            self.name = name
            self.run = run
        }
    }
}
