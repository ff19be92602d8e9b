import Glibc

/// Starts a thread for blocking file work. It is detached: its body ends by itself.
enum CommitThread {
    /// - Parameter body: runs on the new thread, once.
    static func start(_ body: @escaping @Sendable () -> Void) throws {
        var thread = pthread_t()
        // Needed: pthread passes one pointer. Safe: the box is retained here and released exactly once, by the thread,
        // or below when there is no thread.
        let box = Unmanaged.passRetained(Box(body: body))
        let code = pthread_create(&thread, nil, { CommitThread.main($0) }, box.toOpaque())
        guard code == 0 else {
            box.release()
            throw JournalError(.open, "no thread for the journal: \(String(cString: strerror(code)))")
        }
        pthread_detach(thread)
    }

    private static func main(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
        guard let context else { return nil }
        Unmanaged<Box>.fromOpaque(context).takeRetainedValue().body()
        return nil
    }

    private final class Box: Sendable {
        let body: @Sendable () -> Void

        init(body: @escaping @Sendable () -> Void) { self.body = body }
    }
}
